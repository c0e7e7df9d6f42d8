"""A range of rows of one Parquet file, in batches.

In: a file, rows, columns. Out: Arrow batches. Shown by: `python -m pytest
tests/mixtures/tokens/test_tokenize.py`. Limit: one row group is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 1024  # read at once; text of one row group is in memory beside it


def read_rows(path: str, first: int, end: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Batches of a range of rows of a file; memory is one row group."""
    with pq.ParquetFile(Path(path)) as parquet:
        row = 0
        for group in range(parquet.num_row_groups):
            rows = parquet.metadata.row_group(group).num_rows
            if row < end and row + rows > first:
                for batch in parquet.iter_batches(ROWS, [group], columns=columns):
                    a, b = max(first - row, 0), min(end - row, batch.num_rows)
                    if a < b:
                        yield batch.slice(a, b - a)
                    row += batch.num_rows
            else:
                row += rows
