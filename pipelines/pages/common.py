"""Parts that every page has: totals, where the rows come from, what was asked, some rows.

In: a dataset. Out: `Html`. Shown by: `gristmill page web/clean --out page.html`.
Limit: texts of sample rows are cut after TEXT characters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from gristmill.columns import measure
from gristmill.histogram import histogram
from gristmill.lineage import Made, at, lineage
from gristmill.progress import clock, human
from gristmill.redact import redact, redacted
from gristmill.sample import sample
from gristmill.schema import LOCATOR
from gristmill.stats import stats, totals
from gristmill.store import Dataset
from pipelines.pages.html import (
    Child,
    Html,
    beside,
    details,
    facts,
    join,
    note,
    preformatted,
    section,
    shown,
    table,
    tag,
)
from pipelines.pages.svg.bars import ROWS, bars
from pipelines.pages.svg.plots import gallery
from pipelines.pages.svg.plots import histogram as draw_histogram

TEXT = 1_000  # characters of a text in a sample row
PICTURES = 8  # histograms of one page
_PLACES = {name for name, _ in LOCATOR}  # of a record in its file: they measure nothing


def build_of(dataset: Dataset) -> dict[str, Any]:
    """The newest build record, or an empty one where it is gone."""
    found = dataset.store.builds_of(dataset)
    return found[-1] if found else {}


def subtitle(dataset: Dataset) -> str:
    """What kind of rows, made when and how; tags."""
    build = build_of(dataset)
    refs = dataset.store.refs(dataset.name)
    tags = [tag for tag, version in refs.items() if version == dataset.version]
    parts = [f"kind {dataset.manifest['kind']}"]
    if build:
        parts.append(f"made by {build.get('use', 'unknown')}")
        parts.append(str(build.get("created_at", ""))[:19].replace("T", " ") + " UTC")
    if tags:
        parts.append("tags " + ", ".join(sorted(tags)))
    return " · ".join(parts)


def summary(dataset: Dataset, more: Mapping[str, Any] | None = None) -> Html:
    """Totals, from the manifest."""
    found = totals(dataset)
    pairs: dict[str, Any] = {"rows": found["rows"]}
    if found["text_bytes"]:
        pairs["text"] = human(found["text_bytes"], "B")
    pairs |= {"on disk": human(found["bytes"], "B"), "shards": found["shards"], **(more or {})}
    return section("Totals", facts(pairs), warnings(dataset))


def warnings(dataset: Dataset) -> Html:
    """What the step had to say about its result."""
    notes = build_of(dataset).get("notes") or []
    return join(tag("p", redact(str(said)), class_="warning") for said in notes)


def origin(dataset: Dataset) -> Html:
    """The lineage as a chain, and as a table."""
    steps = lineage(dataset)
    boxes, before = [], ""
    for made in steps:
        words = (tag("b", made.ref.partition("@")[0]), f"{made.use} · ", _rows(made))
        follows = None if before in made.parents else "apart"  # from another step, or from files
        boxes.append(tag("li", tag("div", words), class_=follows))
        before = made.ref
    rows = [
        {
            "step": made.ref,
            "use": made.use,
            "from": redact(" ".join([*made.parents, *(str(f["pattern"]) for f in made.files)])),
            "rows": "gone" if made.rows is None else made.rows,
            "took": None if made.seconds is None else clock(made.seconds),
        }
        for made in steps
    ]
    chain = tag("ol", boxes, class_="chain") if len(boxes) < 40 else None
    return section("Lineage", chain, table(["step", "use", "from", "rows", "took"], rows))


def _rows(made: Made) -> str:
    return "rows gone" if made.rows is None else f"{made.rows:,} rows"


def recipe(dataset: Dataset) -> Html:
    """What was asked of the step that made it, and of those before."""
    steps = lineage(dataset)
    parts: list[Child] = []
    for made in reversed(steps):
        build = build_of(at(dataset, made.ref))
        if config := build.get("config"):
            asked = redacted(_without_nulls(config))
            text = yaml.safe_dump(asked, sort_keys=False, allow_unicode=True, width=96)
            parts.append(preformatted(text) if not parts else details(made.ref, preformatted(text)))
    return section("Recipe", parts)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def counted(dataset: Dataset, column: str, title: str, top: int = ROWS) -> Html:
    """A picture and a table of how often each value of a column is there; most first."""
    found = [row for row in stats(dataset, by=column, top=top + 1) if row[column] is not None]
    if not found:
        return join()
    rows = [{**row, column: str(row[column]) or "(none)"} for row in found[:top]]
    labels = [row[column] for row in rows]
    picture = bars(f"Rows by {column}", labels, {"rows": [row["rows"] for row in rows]})
    more = note(f"The {top} most frequent ones.") if len(found) > top else None
    return section(title, beside(picture, table([column, "rows", "share"], rows), more))


def distributions(dataset: Dataset, first: Mapping[str, str]) -> Html:
    """A histogram of each column of numbers; `first`: column -> title of those to open with."""
    pictures, rows = [], []
    names = dataset.schema.names
    apart = {*first, "start", *(_PLACES if _PLACES <= set(names) else ())}
    columns = [name for name in first if name in names]
    columns += [name for name in names if name not in apart and _is_number(dataset, name)]
    for column in columns[:PICTURES]:
        found = histogram(dataset, column)
        if found is None:
            continue
        title = first.get(column, column)
        zeros = f" (and {found.zeros:,} of 0)" if found.zeros else ""
        pictures.append(draw_histogram(title + zeros, found.edges, found.counts, found.log))
        rows.append(
            {
                "column": title,
                "rows": found.values,
                "least": found.low,
                "mean": found.mean,
                "most": found.high,
            }
        )
    if not pictures:
        return join()
    left = len(columns) - PICTURES
    more = tag("p", f"{left} more columns: ", tag("code", "gristmill stats")) if left > 0 else None
    headings = ["column", "rows", "least", "mean", "most"]
    return section("Distributions", gallery(pictures), table(headings, rows), more)


def _is_number(dataset: Dataset, name: str) -> bool:
    if name == "text" or str(dataset.schema.field(name).type).startswith(("list", "large_list")):
        return False
    return measure(dataset, name) is not None


def samples(dataset: Dataset, rows: int, body: Sequence[str] = ("text",)) -> Html:
    """Some rows, the same ones each time; the columns of `body` stand as texts."""
    if not rows:
        return join()
    parts = []
    for number, row in enumerate(sample(dataset, rows).to_pylist(), 1):
        there = {key: value for key, value in row.items() if value is not None}
        texts = [preformatted(_cut(str(there.pop(key)))) for key in body if key in there]
        pairs = [
            join(tag("dt", key), tag("dd", _cut(_plain(value), 200)))
            for key, value in there.items()
        ]
        columns = tag("dl", pairs)
        name = str(there.get("title") or there.get("url") or there.get("id") or f"Row {number}")
        if texts:
            parts += [tag("h3", _cut(redact(name), 200)), *texts, details("All columns", columns)]
        else:
            parts += [tag("h3", _cut(redact(name), 200)), columns]
    if not parts:
        return section("Sample rows", note("There are no rows."))
    return section("Sample rows", tag("div", parts, class_="rows"))


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return redact(shown(value))


def _cut(value: str, most: int = TEXT) -> str:
    return value if len(value) <= most else f"{value[:most]}… ({len(value):,} characters)"
