"""How well each extractor finds a page's text: token F1 on gold pages, by kind of gold.

In: `../shared/data/warc` and `gold.jsonl.gz`, joined by payload sha1. Out: one line a kind and
engine.
Shown by: `python -m bench.extraction_quality [--sample 4]`. Limit: gold of kind `fields` says
only what must be there, so only recall is measured; `reference_extraction` is another tool's
output.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.corpora import source_data
from curation.extract import Extract
from curation.readers import plan_splits, read

_TOKEN = re.compile(r"\w+", re.UNICODE)
Extractor = Callable[[pa.Table], list[str]]  # RAW rows -> one text each, "" where dropped


def tokens(text: str) -> list[str]:
    """Words as runs of letters, digits and underscores, case folded."""
    return _TOKEN.findall(text.casefold())


def overlap(found: list[str], wanted: list[str]) -> tuple[float, float, float]:
    """Precision, recall and F1 of two bags of tokens (or n-grams)."""
    if not found or not wanted:
        same = float(not found and not wanted)
        return same, same, same
    common = (Counter(found) & Counter(wanted)).total()
    precision, recall = common / len(found), common / len(wanted)
    return precision, recall, 2 * precision * recall / (precision + recall) if common else 0.0


def snippet_tokens(text: str, snippets: list[str]) -> tuple[int, int]:
    """(tokens of the snippets that the text holds, tokens of all snippets)."""
    squeezed = " ".join(tokens(text))
    sizes = [(len(tokens(snippet)), " ".join(tokens(snippet)) in squeezed) for snippet in snippets]
    return sum(size for size, held in sizes if held), sum(size for size, _ in sizes)


def score(gold: dict[str, Any], text: str) -> tuple[float, float, float]:
    """(precision, recall, F1) of one page; nan where its gold cannot say.

    full_text and reference_extraction: bags of tokens. snippets: tokens of the wanted and unwanted
    passages. fields: recall of the tokens that must be there.
    """
    if "text" in gold:
        return overlap(tokens(text), tokens(gold["text"]))
    if gold["kind"] == "fields":
        kept, wanted = snippet_tokens(text, gold["must_include"])
        return np.nan, kept / wanted if wanted else np.nan, np.nan
    kept, wanted = snippet_tokens(text, gold["with"])
    false, _ = snippet_tokens(text, gold["without"])
    precision = kept / (kept + false) if kept + false else 0.0
    recall = kept / wanted if wanted else np.nan
    return precision, recall, 2 * precision * recall / (precision + recall) if kept else 0.0


def pages(gold: dict[str, dict[str, Any]], data: Path) -> Iterator[pa.Table]:
    """RAW rows whose payload has gold."""
    for split in plan_splits({"warc": str(data / "warc")}):
        for batch in read(split):
            mask = [sha1 in gold for sha1 in batch["payload_sha1"].to_pylist()]
            if any(mask):
                yield pa.table(batch).filter(pa.array(mask))


def load_gold(data: Path, sample: int = 1) -> dict[str, dict[str, Any]]:
    """Gold by payload sha1; every `sample`-th page."""
    with gzip.open(data / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return {row["sha1"]: row for row in rows[::sample]}


def engine(name: str) -> Extractor:
    """The op `extract` with an engine."""
    apply = Extract(engine=name).open()

    def run(table: pa.Table) -> list[str]:
        return [text or "" for text in apply(table, {}).columns["text"].to_pylist()]

    return run


def extraction_quality(
    extractors: dict[str, Extractor], data: Path, sample: int = 1
) -> dict[str, dict[str, tuple[int, float, float, float]]]:
    """{kind: {engine: (pages, mean precision, mean recall, mean F1)}} over the gold pages."""
    gold = load_gold(data, sample)
    scores: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for table in pages(gold, data):
        hashes = table["payload_sha1"].to_pylist()
        for name, run in extractors.items():
            for sha1, text in zip(hashes, run(table), strict=True):
                found = score(gold[sha1], text)
                scores.setdefault((gold[sha1]["kind"], name), []).append(found)
    out: dict[str, dict[str, tuple[int, float, float, float]]] = {}
    for (kind, name), values in sorted(scores.items()):
        precision, recall, f1 = (_mean(column) for column in np.array(values).T)
        out.setdefault(kind, {})[name] = (len(values), precision, recall, f1)
    return out


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def show(table: dict[str, dict[str, tuple[int, float, float, float]]]) -> str:
    """The table as lines of text."""
    head = f"{'gold':<22}{'engine':<28}{'pages':>6}{'precision':>11}{'recall':>8}{'F1':>8}"
    lines = [head]
    for kind, engines in table.items():
        for name, (count, *values) in engines.items():
            numbers = ("-" if np.isnan(value) else f"{value:.3f}" for value in values)
            precision, recall, f1 = numbers
            lines.append(f"{kind:<22}{name:<28}{count:>6}{precision:>11}{recall:>8}{f1:>8}")
    return "\n".join(lines)


def main() -> None:
    """Print both engines for each kind of gold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sample", type=int, default=1, help="take every n-th gold page")
    parser.add_argument("--engines", nargs="*", default=["resiliparse", "trafilatura"])
    args = parser.parse_args()
    extractors = {name: engine(name) for name in args.engines}
    print(show(extraction_quality(extractors, source_data(), args.sample)))


if __name__ == "__main__":
    main()
