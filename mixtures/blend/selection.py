"""Selections: which documents of a token dataset belong to a source, as row numbers on disk.

In: a token dataset, an SQL condition, columns to group by, a column to order by. Out: a file of
int64 row numbers, group after group, and what each group holds. Shown by: a recipe with `where:` or
`by:`. Limit: columns of the token dataset only: no other dataset, no file.

DuckDB sorts and filters, beyond memory where it must; rows come back in Arrow batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gristmill.errors import RecipeError, nearest
from gristmill.mapped import Tokens, open_tokens
from gristmill.query import connect, quoted, source
from gristmill.selects import QueryError, tables_of_select
from gristmill.store import Dataset

BATCH = 1 << 17  # rows read at a time
HIDDEN = {"tokens", "loss_mask", "start"}  # no columns to choose by
VIEW = "documents"
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Group:
    """One group of a selection: its rows in the file, its documents and tokens."""

    name: str  # values of the `by` columns, joined by "/"; "" without
    first: int
    documents: int
    tokens: int


def select(
    dataset: Dataset,
    out: Path,
    where: str | None = None,
    by: Sequence[str] = (),
    order_by: str | None = None,
    descending: bool = False,
) -> list[Group]:
    """Write the rows chosen to `out` and return their groups, sorted by name.

    With neither condition, groups nor order, nothing is written: the group is the whole dataset.
    """
    tokens = open_tokens(dataset)
    if where is None and not by and order_by is None:
        return [Group("", 0, tokens.documents, total_tokens(tokens, None, 0, tokens.documents))]
    connection = view(dataset)
    for column in (*by, *([order_by] if order_by else [])):
        check_column(dataset, column)
    condition = check_where(connection, dataset, where)
    key = " || '/' || ".join(f"coalesce({quoted(c)}::varchar, 'none')" for c in by) or "''"
    counting = f"select {key}, count(*) from {VIEW} where {condition} group by 1 order by 1"
    found = _run(connection, dataset, counting).fetchall()
    keys, picked = [], f"file_index, file_row_number, {key} as group_key"
    if by:
        keys.append("group_key")
    if order_by:
        picked += f", {quoted(order_by)} as sort_key"
        keys.append(f"sort_key {'desc' if descending else 'asc'} nulls last")
    choosing = "select file_index, file_row_number from "
    choosing += f"(select {picked} from {VIEW} where {condition})"
    if keys:
        choosing += f" order by {', '.join(keys)}, file_index, file_row_number"
    written = _write(_run(connection, dataset, choosing), dataset, out, ordered=bool(keys))
    if written != sum(count for _, count in found):
        raise RecipeError(
            f"where {where!r} chose {written:,} documents, and others when asked again; a source "
            "must be the same every time"
        )
    bounds = np.cumsum([0, *(count for _, count in found)]).tolist()
    return [
        Group(name, first, end - first, total_tokens(tokens, out, first, end - first))
        for (name, _), (first, end) in zip(found, pairwise(bounds), strict=True)
    ]


def _write(result: duckdb.DuckDBPyRelation, dataset: Dataset, out: Path, ordered: bool) -> int:
    """Row numbers of the version, from shard and row within it; how many there are."""
    rows = [shard["rows"] for shard in dataset.manifest["shards"]]
    bases = np.cumsum([0, *rows])
    last = -1
    with open(out, "wb") as file:
        batches: Iterable[pa.RecordBatch] = result.to_arrow_reader(BATCH) or ()
        for batch in batches:
            shard, row = (batch.column(n).to_numpy().astype(np.int64) for n in (0, 1))
            numbers = bases[shard] + row
            if not ordered and len(numbers):
                assert numbers[0] > last and (np.diff(numbers) > 0).all(), "DuckDB kept no order"
                last = int(numbers[-1])
            numbers.tofile(file)
        return file.tell() // 8


def load(path: Path | None, first: int, count: int) -> I64 | None:
    """Rows of one group as a memory map, or None for a whole dataset."""
    if path is None:
        return None
    if not count:
        return np.empty(0, np.int64)
    return np.memmap(path, np.int64, "r", offset=first * 8, shape=(count,))


def total_tokens(tokens: Tokens, path: Path | None, first: int, count: int) -> int:
    """Tokens of the documents of a group."""
    rows, found = load(path, first, count), 0
    for start in range(0, count, BATCH):
        end = min(count, start + BATCH)
        lengths = tokens.counts(start, end) if rows is None else tokens.take_counts(rows[start:end])
        found += int(lengths.sum(dtype=np.int64))
    return found


def view(dataset: Dataset) -> duckdb.DuckDBPyConnection:
    """A connection with the dataset's documents as the view `documents`."""
    connection = connect(dataset.store)
    columns = ", ".join(quoted(name) for name in dataset.schema.names if name not in HIDDEN)
    connection.execute(
        f"create or replace temp view {VIEW} as "
        f"select {columns}, file_index, file_row_number from {source(dataset)}"
    )
    return connection


def check_where(connection: duckdb.DuckDBPyConnection, dataset: Dataset, where: str | None) -> str:
    """The condition in brackets; RecipeError unless it is one, over this dataset alone."""
    if where is None:
        return "true"
    condition = f"({where}\n)"
    try:
        tables, everything = tables_of_select(
            connection, f"select 1 from {VIEW} where {condition} limit 1"
        )
    except (duckdb.Error, QueryError) as error:
        said = str(error).strip().splitlines()[0]
        raise RecipeError(f"where {where!r} is no condition: {said}") from None
    if everything or set(tables) != {VIEW}:
        raise RecipeError(
            f"where {where!r} reads other datasets; a source is chosen by its own columns: "
            f"{', '.join(columns_of(dataset))}"
        )
    return condition


def check_column(dataset: Dataset, column: str) -> None:
    """RecipeError with the nearest column where the dataset has none of that name."""
    known = columns_of(dataset)
    if column not in known:
        raise RecipeError(f"{dataset.ref} has no column {column!r}{nearest(column, known)}")


def columns_of(dataset: Dataset) -> list[str]:
    return [name for name in dataset.schema.names if name not in HIDDEN]


def _run(
    connection: duckdb.DuckDBPyConnection, dataset: Dataset, sql: str
) -> duckdb.DuckDBPyRelation:
    try:
        return connection.sql(sql)
    except duckdb.BinderException as error:
        said = str(error).partition("\n")[0].removeprefix("Binder Error: ")
        known = ", ".join(columns_of(dataset))
        raise RecipeError(f"{dataset.ref}: {said} Its columns: {known}") from None
    except duckdb.Error as error:
        raise RecipeError(f"{dataset.ref}: {str(error).strip()}") from None
