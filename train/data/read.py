"""Rows of datasets, a range of a shard at a time, by an SQL condition where there is one.

In: a dataset, columns, a condition. Out: rows in the dataset's order, each with its number.
Shown by: `data: {rows: synth/chat, where: "margin > 1"}`.
Limit: the condition sees this dataset's columns alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from gristmill.errors import RecipeError
from gristmill.store import Dataset
from mixtures.blend.selection import VIEW, check_where, view
from mixtures.tokens.read import read_rows

BATCH = 1 << 17  # numbers read at a time
I64 = npt.NDArray[np.int64]
Numbered = dict[str, Any]  # a row; `id` is made of its number where it has none


def bases(dataset: Dataset) -> list[int]:
    """Number of each shard's first row, and of all rows."""
    return [0, *accumulate(shard["rows"] for shard in dataset.manifest["shards"])]


def choose(dataset: Dataset, where: str, out: Path) -> None:
    """Write the numbers of the rows that the condition keeps, int64. DuckDB keeps their order."""
    connection = view(dataset)
    condition = check_where(connection, dataset, where)
    starts = np.array(bases(dataset))
    query = f"select file_index, file_row_number from {VIEW} where {condition}"
    last = -1
    try:
        with open(out, "wb") as file:
            for batch in connection.sql(query).to_arrow_reader(BATCH):
                shard, row = (batch.column(n).to_numpy().astype(np.int64) for n in (0, 1))
                numbers = starts[shard] + row
                assert (np.diff(numbers, prepend=last) > 0).all(), "DuckDB kept no order"
                last = int(numbers[-1]) if len(numbers) else last
                numbers.tofile(file)
    except duckdb.Error as error:
        raise RecipeError(f"{dataset.ref}: where {where!r}: {str(error).strip()}") from None


def chosen(file: str | None) -> I64 | None:
    """What `choose` wrote, mapped; None: all rows."""
    if file is None:
        return None
    return np.memmap(file, np.int64, "r") if Path(file).stat().st_size else np.zeros(0, np.int64)


def rows_between(
    dataset: Dataset, shard: int, first: int, end: int, columns: Sequence[str], kept: I64 | None
) -> Iterator[list[Numbered]]:
    """Rows first..end of a shard that are kept, in batches."""
    named = "id" in dataset.schema.names
    read = list(dict.fromkeys((*(("id",) if named else ()), *columns)))
    number = bases(dataset)[shard] + first
    for batch in read_rows(str(dataset.files[shard]), first, end, read):
        numbers = np.arange(number, number + batch.num_rows)
        number += batch.num_rows
        if kept is not None:
            low, high = np.searchsorted(kept, (numbers[0], number))
            numbers = np.asarray(kept[low:high])
            batch = batch.take(numbers - (number - batch.num_rows))
        rows: list[Numbered] = batch.to_pylist()
        for row, own in zip(rows, numbers.tolist(), strict=True):
            row.setdefault("id", f"{dataset.name}/{own}")
        yield rows


def row_after(
    dataset: Dataset, number: int, columns: Sequence[str], kept: I64 | None
) -> Numbered | None:
    """The first row that is kept from `number` on; behind the last one stands the first one."""
    if kept is None:
        own = number % dataset.rows
    elif len(kept):
        own = int(kept[np.searchsorted(kept, number) % len(kept)])
    else:
        return None
    starts = bases(dataset)
    shard = bisect_right(starts, own) - 1
    place = own - starts[shard]
    return next(rows_between(dataset, shard, place, place + 1, columns, None))[0]
