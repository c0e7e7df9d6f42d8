"""Rows of datasets, batch by batch, by an SQL condition where there is one.

In: a dataset, columns, a condition. Out: Arrow batches in the dataset's order. Shown by: `data:
{rows: synth/chat, where: "margin > 1"}`. Limit: the condition sees this dataset's columns alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import pyarrow as pa

from gristmill.errors import RecipeError
from gristmill.query import quoted
from gristmill.store import Dataset
from mixtures.blend.selection import VIEW, check_where, view

BATCH = 1024


def batches(
    dataset: Dataset, columns: Sequence[str], where: str | None
) -> Iterator[pa.RecordBatch]:
    """The rows that the condition keeps. DuckDB keeps the order of files and rows."""
    if where is None:
        yield from dataset.scan(list(columns), BATCH)
        return
    connection = view(dataset)
    condition = check_where(connection, dataset, where)
    listed = ", ".join(quoted(name) for name in columns)
    try:
        found = connection.sql(f"select {listed} from {VIEW} where {condition}")
        yield from found.to_arrow_reader(BATCH)
    except duckdb.Error as error:
        raise RecipeError(f"{dataset.ref}: where {where!r}: {str(error).strip()}") from None
