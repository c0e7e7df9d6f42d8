"""Why: the story of a record, from the first step that read it to the dataset that has it or not.

In: a dataset, and an id, its first digits, a URL, or FILE:OFFSET. Out: one story a record.
Shown by: `gristmill why web/final https://example.org/`.
Limit: only steps with a ledger tell; a ledger is scanned once, 10 to 20 million rows a second.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gristmill.errors import StoreError
from gristmill.lineage import LOST, Made, at, ledger_of, lineage
from gristmill.parents import Written, written
from gristmill.query import connect, literal, source
from gristmill.store import Dataset, Store

MIN_PREFIX = 6  # hex digits
_COMMON = {
    *("id", "url", "file", "offset", "length", "payload_sha1"),
    *("state", "step_op", "reason", "rules"),
}
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Event:
    """What one step said of a record."""

    step: str  # name@version
    use: str
    place: str | None  # file:offset of the record; records may share an id
    state: str  # kept, dropped, edited, flagged; filtered, failed, pending; written by a model
    op: str | None
    reason: str | None  # the first failing rule
    rules: list[dict[str, Any]]  # all of them: rule, value, threshold; found, allowed: of a choice
    details: dict[str, Any]  # the step's own columns: partner, similarity, benchmark item…
    signals: dict[str, int]


@dataclass(slots=True)
class Story:
    """One record and all that happened to it, first step first."""

    id: str
    url: str | None
    file: str | None
    offset: int | None
    length: int | None
    payload_sha1: str | None
    events: list[Event] = field(default_factory=list)
    rows: int = 0  # of the dataset asked about that carry this id
    outcome: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def why(store: Store, ref: str, key: str, limit: int = 20) -> list[Story]:
    """Stories of the records that `key` names, in the order in which the first step read them.

    Args:
        ref: the dataset at the end of the story; the steps before it are found by its lineage.
        key: an id, its first 6 or more digits, a URL (or a part of one), or FILE:OFFSET.
        limit: at most this many records.
    Raises: StoreError where no step of the lineage ever met such a record.
    """
    dataset = store[ref]
    steps = lineage(dataset)
    ledgers = [(made, found) for made in steps if (found := ledger_of(dataset, made))]
    ids = _matching(dataset, [ledger for _, ledger in ledgers], key, limit)
    rows_written, ids = _with_parents(dataset, steps, ids)
    stories: dict[str, Story] = {}
    for made, ledger in ledgers:
        _tell(stories, made, ledger, ids)
    for id_, grown in rows_written.items():
        story = stories.setdefault(id_, Story(id_, None, None, None, None, None))
        details = {"parents": grown.parents, "made": grown.made, **grown.columns}
        story.events.insert(
            0, Event(grown.step, grown.use, None, "written", None, None, [], details, {})
        )
    for id_, row in _rows_by_id(dataset, ids).items():
        story = stories.setdefault(id_, Story(id_, row["url"], None, None, None, None))
        story.rows = row["rows"]
    _name_partners(stories.values(), [ledger for _, ledger in ledgers])
    for story in stories.values():
        story.outcome = _outcome(story, dataset)
    return list(stories.values())


def _with_parents(
    dataset: Dataset, steps: list[Made], ids: list[str]
) -> tuple[dict[str, Written], list[str]]:
    """What is known of the generated rows among `ids`, and the ids with those of all ancestors."""
    found: dict[str, Written] = {}
    new = ids
    while new:
        fresh = written(dataset, steps, new)
        found |= fresh
        new = [p for row in fresh.values() for p in row.parents if p not in ids]
        ids = [*dict.fromkeys(new), *ids]  # ancestors are told first
    return found, ids


def _matching(dataset: Dataset, ledgers: list[Dataset], key: str, limit: int) -> list[str]:
    """Ids that the key names: exactly, else as a prefix, else as a part of a URL."""
    text = literal(key)
    tries = [f"id = {text} or url = {text}"]
    if re.fullmatch(rf"[0-9a-f]{{{MIN_PREFIX},}}", key):
        tries.append(f"starts_with(id, {text})")
    file, colon, offset = key.rpartition(":")
    if colon and offset.isdigit():
        tries.append(f'file = {literal(file)} and "offset" = {int(offset)}')
    tries.append(f"contains(lower(url), {literal(key.lower())})")
    places = [(ledger, True) for ledger in ledgers]
    if "id" in dataset.schema.names:
        places.append((dataset, False))
    has_url = "url" in dataset.schema.names
    connection = connect(dataset.store)
    for condition in tries:
        found: dict[str, None] = {}
        for place, located in places:
            if "offset" in condition and not located:
                continue
            table = source(place)
            if not located and not has_url:
                table = f"(select id, null::varchar as url from {table})"
            rows = connection.execute(
                f"select id from {table} where {condition} "
                f"group by id order by any_value(url) nulls last, id limit {int(limit)}"
            ).fetchall()
            found |= {str(row[0]): None for row in rows}
        if found:
            return list(found)[:limit]
    raise StoreError(
        f"{key!r}: no record of {dataset.ref} or of the steps before it has this id or URL; give "
        f"an id, its first {MIN_PREFIX} or more digits, a URL or a part of one, or FILE:OFFSET"
    )


def _tell(stories: dict[str, Story], made: Made, ledger: Dataset, ids: list[str]) -> None:
    """Add what one ledger says."""
    connection = connect(ledger.store)
    wanted = ", ".join(map(literal, ids))
    found = connection.execute(
        f'select * from {source(ledger)} where id in ({wanted}) order by file, "offset", id'
    )
    names = [column[0] for column in found.description or []]
    signals = _signal_names(ledger)
    allowed = _allowed(at(ledger, made.ref).build()["config"])
    for values in found.fetchall():
        row = dict(zip(names, values, strict=True))
        story = stories.get(row["id"])
        if story is None:
            place = (row[n] for n in ("url", "file", "offset", "length", "payload_sha1"))
            story = stories[row["id"]] = Story(row["id"], *place)
        told = {n: v for n, v in row.items() if n not in _COMMON and not _empty(v)}
        story.events.append(
            Event(
                step=made.ref,
                use=made.use,
                place=None if row["file"] is None else f"{row['file']}:{row['offset']}",
                state=row["state"],
                op=row["step_op"],
                reason=row["reason"],
                rules=[_with_choice(rule, row, allowed) for rule in row["rules"] or []],
                details={n: v for n, v in told.items() if n not in signals},
                signals={n: v for n, v in told.items() if n in signals},
            )
        )


def _allowed(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """Rule -> the values that pass it, for ops with a list `keep`: language.not_kept -> [en, de].

    A step with two ops of one name is left out: their columns are not told apart here.
    """
    ops = [entry for op in config.get("ops") or [] if isinstance(op, dict) for entry in op.items()]
    times = Counter(name for name, _ in ops)
    return {
        f"{name}.not_kept": options["keep"]
        for name, options in ops
        if isinstance(options, dict) and options.get("keep") and times[name] == 1
    }


def _with_choice(
    rule: dict[str, Any], row: Mapping[str, Any], allowed: Mapping[str, list[str]]
) -> dict[str, Any]:
    if rule["rule"] not in allowed:
        return rule
    found = row.get(rule["rule"].partition(".")[0])
    return {**rule, "found": found, "allowed": allowed[rule["rule"]]}


def _empty(value: Any) -> bool:
    return value is None or value == [] or (isinstance(value, float) and math.isnan(value))


def _signal_names(ledger: Dataset) -> set[str]:
    """Columns that hold signals: `words`, and `words_2` for a later segment's."""
    own = [name for name, kind in ledger.manifest["schema"] if name not in _COMMON]
    if not any(kind == "int64" for name, kind in ledger.manifest["schema"] if name in own):
        return set()
    from gristmill.text.signals import FAMILIES

    known = {name for family in FAMILIES.values() for name in family.names}
    return {name for name in own if re.sub(r"_\d+$", "", name) in known or name in known}


def _rows_by_id(dataset: Dataset, ids: list[str]) -> dict[str, dict[str, Any]]:
    names = dataset.schema.names
    if "id" not in names:
        return {}
    url = "any_value(url)" if "url" in names else "null"
    wanted = ", ".join(map(literal, ids))
    rows = connect(dataset.store).execute(
        f"select id, count(*), {url} from {source(dataset)} where id in ({wanted}) group by id"
    )
    return {str(id_): {"rows": int(count), "url": found} for id_, count, found in rows.fetchall()}


def _name_partners(stories: Iterable[Story], ledgers: list[Dataset]) -> None:
    """Beside an id of another record (`partner_id`) its URL, where the step did not give it."""
    missing: dict[str, list[tuple[dict[str, Any], str]]] = {}
    for event in (event for story in stories for event in story.events):
        for name, value in event.details.items():
            beside = f"{name.removesuffix('_id')}_url"
            named = name.endswith("_id") and isinstance(value, str) and _ID.fullmatch(value)
            if named and beside not in event.details:
                missing.setdefault(value, []).append((event.details, beside))
    wanted = ", ".join(map(literal, missing))
    for ledger in ledgers if missing else []:
        rows = connect(ledger.store).execute(
            f"select distinct id, url from {source(ledger)} where id in ({wanted})"
        )
        for id_, url in rows.fetchall():
            for details, beside in missing[id_] if url else []:
                details[beside] = url


def _outcome(story: Story, dataset: Dataset) -> str:
    if story.rows:
        return f"in {dataset.ref}" + (f" ({story.rows} rows)" if story.rows > 1 else "")
    last = next((e for e in reversed(story.events) if e.state in LOST), None)
    if last is not None:
        return f"{last.state} by {last.step}" + (f": {last.reason}" if last.reason else "")
    grown = next((e for e in reversed(story.events) if e.details.get("rows_out")), None)
    if grown is not None:
        return f"{grown.step} wrote {grown.details['rows_out']} rows from it"
    return f"not in {dataset.ref}, though no ledger of its lineage says dropped"
