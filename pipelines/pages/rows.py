"""The page of any other dataset: totals, lineage, distributions, some rows.

In: a dataset of any kind. Out: the page's sections.
Shown by: `gristmill page web/clean.ledger --out ledger.html`.
Limit: knows nothing of what its rows mean.
"""

from __future__ import annotations

from gristmill.store import Dataset
from pipelines.pages.common import counted, distributions, origin, recipe, samples, summary
from pipelines.pages.html import Html, details, section, table

_MANY = 20  # columns of a list that nobody reads to its end


def sections(dataset: Dataset, rows: int) -> list[Html]:
    """All of them, in order."""
    columns = [{"column": name, "type": kind} for name, kind in dataset.manifest["schema"]]
    return [
        summary(dataset),
        origin(dataset),
        section("Columns", _folded(table(["column", "type"], columns), len(columns))),
        *(counted(dataset, name, f"By {name}") for name in dataset.manifest["totals"]["counts"]),
        distributions(dataset, {"text": "Length of the text in characters"}),
        samples(dataset, rows),
        recipe(dataset),
    ]


def _folded(columns: Html, count: int) -> Html:
    return columns if count <= _MANY else details(f"{count} columns", columns)
