"""The page of any other dataset: totals, lineage, distributions, some rows.

In: a dataset of any kind. Out: the page's sections.
Shown by: `gristmill page web/clean.ledger --out ledger.html`.
Limit: knows nothing of what its rows mean.
"""

from __future__ import annotations

from gristmill.store import Dataset
from pipelines.pages.common import counted, distributions, origin, recipe, samples, summary
from pipelines.pages.html import Html, section, table


def sections(dataset: Dataset, rows: int) -> list[Html]:
    """All of them, in order."""
    columns = [{"column": name, "type": kind} for name, kind in dataset.manifest["schema"]]
    return [
        summary(dataset),
        origin(dataset),
        section("Columns", table(["column", "type"], columns)),
        *(counted(dataset, name, f"By {name}") for name in dataset.manifest["totals"]["counts"]),
        distributions(dataset, {"text": "Length of the text in characters"}),
        samples(dataset, rows),
        recipe(dataset),
    ]
