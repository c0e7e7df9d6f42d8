"""Found against planted: what the ledgers of a run say of each record whose truth is known.

In: the truth, the ledgers of the steps in order, the texts left. Out: a `Score`, its table.
Shown by: `python -m pipelines.demo.score demo/truth.jsonl demo/store web/final`.
Limit: of an original and its copies one may be left; whichever rule dropped the others is credited.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from gristmill import Dataset, Store
from gristmill.lineage import ledger_of, lineage
from pipelines.demo.corpus import benchmark
from pipelines.demo.generate import SHARES, Planted, load

COLUMNS = ["url", "file", "offset", "state", "reason"]
COPIES = ("exact_duplicate", "near_duplicate")
MEANING = {
    "exact_duplicate": "same text, other address",
    "near_duplicate": "reprint with small edits",
    "boilerplate": "menu, wall, login, soft 404",
    "spam": "keywords, lorem ipsum, links …",
    "wrong_language": "not a language to keep",
    "contaminated": "quotes a benchmark question",
    "personal": "e-mail, public IP, telephone",
    "broken": "cut, empty, not HTTP",
    "damaged": "lying charset, stray bytes",
}
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Kind:
    """One planted kind: how many, how many found, by which rules, and which were missed."""

    name: str
    planted: int
    by: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)

    @property
    def found(self) -> int:
        return self.planted - len(self.missed)


@dataclass(frozen=True, slots=True)
class Score:
    """Found against planted."""

    kinds: list[Kind]
    unplanted: int
    unplanted_kept: int
    unplanted_lost: Counter[str]  # by rule
    unaccounted: list[str]  # records without a ledger row: must be empty


def drop_reasons(
    ledgers: Iterable[pa.Table], records: Sequence[Planted]
) -> tuple[dict[str, str], set[str]]:
    """URL -> the rule that dropped it, and the URLs that have a row in some ledger.

    A record whose header could not be read has no URL in the ledger: it is known by its place.
    """
    at = {(r.file, r.offset): r.url for r in records}
    dropped: dict[str, str] = {}
    seen: set[str] = set()
    for ledger in ledgers:
        columns = [ledger[name].to_pylist() for name in COLUMNS]
        for url, file, offset, state, reason in zip(*columns, strict=True):
            known = url or at.get((str(file).rpartition("/")[2], offset), "")
            seen.add(known)
            if state == "dropped":
                dropped[known] = reason or "without a reason"
    return dropped, seen


def score(
    records: Sequence[Planted], ledgers: Iterable[pa.Table], texts: Mapping[str, str]
) -> Score:
    """Compare.

    Args:
        records: the truth.
        ledgers: of each step, in order; columns url, file, offset, state and reason.
        texts: URL -> text of the documents left after the last step.
    """
    dropped, seen = drop_reasons(ledgers, records)
    kinds = {name: Kind(name, sum(r.kind == name for r in records)) for name in SHARES}
    survivors = _survivors(records, texts)
    for record in records:
        if record.kind == "unplanted":
            continue
        kind = kinds[record.kind]
        rule = _found_by(record, dropped, texts, survivors)
        if rule is None:
            kind.missed.append(record.url)
        else:
            kind.by[rule] += 1
    ordinary = [r.url for r in records if r.kind == "unplanted"]
    saved = survivors.keys()  # an original dropped in favour of its copy is not lost
    lost = [url for url in ordinary if url not in texts and url not in saved]
    return Score(
        [kind for kind in kinds.values() if kind.planted],
        len(ordinary),
        len(ordinary) - len(lost),
        Counter(dropped.get(url, "without a reason") for url in lost),
        [r.url for r in records if r.url not in seen],
    )


def _survivors(records: Sequence[Planted], texts: Mapping[str, str]) -> dict[str, str]:
    """Original -> the one of it and its copies that may be left: itself, else the first copy."""
    found: dict[str, str] = {}
    for record in records:
        if record.kind in COPIES:
            for url in (record.partner, record.url):
                if url in texts:
                    found.setdefault(record.partner, url)
    return found


def _found_by(
    record: Planted,
    dropped: Mapping[str, str],
    texts: Mapping[str, str],
    survivors: Mapping[str, str],
) -> str | None:
    """The rule that dealt with a planted record, or None where nothing did."""
    url, text = record.url, texts.get(record.url)
    if record.kind in COPIES:
        if text is not None and survivors[record.partner] != url:
            return None
        return dropped.get(url) or dropped.get(record.partner)
    if record.kind == "damaged":
        return "read right" if text and record.detail.get("probe", "") in text else None
    if url in dropped:
        return dropped[url]
    if text is None:
        return None
    if record.kind == "contaminated":
        question = {item.id: item.question for item in benchmark()}[record.detail["item"]]
        return None if _words(question) in _words(text) else "cut from the text"
    if record.kind == "personal":
        values = record.detail["values"].values()
        return None if any(value in text for value in values) else "replaced in the text"
    return None


def _words(text: str) -> str:
    return " " + " ".join(_WORD.findall(text.lower())) + " "


def table(result: Score) -> Table:
    """The score for a terminal."""
    shown = Table(title="Found against planted", title_justify="left")
    for name, side in (("planted", "left"), ("what", "left"), ("n", "right"), ("found", "right")):
        shown.add_column(name, justify="right" if side == "right" else "left")
    shown.add_column("by", overflow="fold")
    for kind in result.kinds:
        found = f"{kind.found}" if not kind.missed else f"[yellow]{kind.found}[/]"
        shown.add_row(kind.name, MEANING[kind.name], str(kind.planted), found, _by(kind.by))
    share = result.unplanted_kept / max(1, result.unplanted)
    shown.add_section()
    lost = _by(result.unplanted_lost)
    lost = f"lost to {lost}" if lost else ""
    shown.add_row("(unplanted)", f"{share:.0%} left on merit", str(result.unplanted), "", lost)
    if result.unaccounted:
        lines = len(result.unaccounted)
        shown.add_row("[red]unaccounted[/]", "no ledger row", str(lines), "", "this is a defect")
    return shown


def _by(rules: Counter[str]) -> str:
    """`gopher_quality 31, language 7`: rules of one set together, the four largest."""
    sets: Counter[str] = Counter()
    for rule, count in rules.items():
        sets[rule.partition(".")[0]] += count
    more = f", {len(sets) - 4} more" if len(sets) > 4 else ""
    return ", ".join(f"{name} {count}" for name, count in sets.most_common(4)) + more


def score_dataset(records: Sequence[Planted], dataset: Dataset) -> Score:
    """Score a run by its last dataset: the ledgers of the steps before it are found by lineage."""
    found = [ledger_of(dataset, made) for made in lineage(dataset)]
    ledgers = [ledger.to_table(COLUMNS) for ledger in found if ledger is not None]
    last = dataset.to_table(["url", "text"])
    texts = dict(zip(last["url"].to_pylist(), last["text"].to_pylist(), strict=True))
    return score(records, ledgers, texts)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit("usage: python -m pipelines.demo.score TRUTH STORE DATASET")
    shown = table(score_dataset(load(sys.argv[1]), Store(sys.argv[2])[sys.argv[3]]))
    Console().print(shown)
