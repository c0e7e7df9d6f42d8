"""The page of a documents dataset: what is in it, and what became of the rest.

In: a dataset of kind `document`. Out: the page's sections.
Shown by: `gristmill page web/final --out final.html`.
Limit: hosts, lengths and duplicates are scans; a hundred million documents take minutes.
"""

from __future__ import annotations

from typing import Any

from gristmill.lineage import funnel
from gristmill.repeats import removed, repeats
from gristmill.store import Dataset
from pipelines.pages.common import counted, distributions, origin, recipe, samples, summary
from pipelines.pages.html import Child, Html, beside, facts, percent, section, table, tag
from pipelines.pages.svg.bars import bars

REASONS = 15
COUNTED = {
    "language": "Languages",
    "source": "Sources",
    "topic": "Topics",
    "format": "Formats",
    "host": "Hosts",
}
LENGTHS = {
    "text": "Length of the text in characters",
    "token_count": "Length of the text in tokens",
}


def sections(dataset: Dataset, rows: int) -> list[Html]:
    """All of them, in order."""
    return [
        summary(dataset),
        origin(dataset),
        losses(dataset),
        *(
            counted(dataset, name, title)
            for name, title in COUNTED.items()
            if _tells(dataset, name)
        ),
        distributions(dataset, LENGTHS),
        _duplicates(dataset),
        samples(dataset, rows),
        recipe(dataset),
    ]


def _tells(dataset: Dataset, name: str) -> bool:
    """Whether to count a column: not where all rows come from one source."""
    if name == "host":
        return "url" in dataset.schema.names
    if name not in dataset.schema.names or str(dataset.schema.field(name).type) != "string":
        return False
    return name != "source" or len(dataset.manifest["totals"]["counts"].get(name, {})) != 1


def losses(dataset: Dataset) -> Html:
    """The drop funnel: what is left after each step, and what each step dropped, by reason."""
    rows = funnel(dataset)
    steps = list(dict.fromkeys(row["step"] for row in rows))
    left = {row["step"]: row["rows"] for row in rows if row["state"] == "kept"}
    first = next((row["rows"] for row in rows if row["state"] == "in"), None)
    labels = [step.partition("@")[0] for step in steps]
    values = [left[step] for step in steps]
    if first is not None:
        labels, values = ["read", *labels], [first, *values]
    whole = bars("Rows left after each step", labels, {"rows": values}) if len(steps) < 40 else None
    parts: list[Child] = [whole]
    for step in steps:
        lost = [row for row in rows if row["step"] == step and row["state"] not in ("in", "kept")]
        if lost:
            parts += [tag("h3", step), _lost(lost)]
    return section("Funnel", parts)


def _lost(rows: list[dict[str, Any]]) -> Html:
    listed = rows[:REASONS]
    labels = [str(row["reason"] or row["state"]) for row in listed]
    picture = bars("Rows by reason", labels, {"rows": [row["rows"] for row in listed]})
    columns = {"reason": "reason", "op": "op", "state": "state", "rows": "rows", "share": "share"}
    if {row["state"] for row in rows} == {"dropped"}:
        del columns["state"]
    listing = table(columns, rows)
    return beside(picture, listing) if len(rows) > 1 else listing


def _duplicates(dataset: Dataset) -> Html:
    """Equal texts that are there, and what deduplication removed before."""
    (found,) = repeats(dataset)
    pairs = {
        "different texts": found["texts"],
        "further copies": f"{found['duplicates']:,} ({percent(found['duplicate_share'])})",
        "rows whose text repeats": f"{found['repeated']:,} ({percent(found['repeated_share'])})",
    }
    steps = removed(dataset)
    columns = {
        "step": "step",
        "use": "use",
        "rows": "read",
        "dropped": "dropped",
        "share": "of its input",
    }
    before = table(columns, steps, "Removed by deduplication before") if steps else None
    return section("Duplicates", facts(pairs), before)
