"""Sample rows: which ones is a pure function of the seed and the rows' ids.

In: a dataset, how many, a condition. Out: an Arrow table.
Shown by: `gristmill sample web/clean -n 3 --where "language = 'de'"`.
Limit: rows without an id are drawn by their place in the version.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.errors import StoreError
from gristmill.query import Catalog, source
from gristmill.store import Dataset


def sample(dataset: Dataset, n: int = 10, where: str | None = None, seed: int = 0) -> pa.Table:
    """`n` rows (fewer where there are not so many), in the order of the draw.

    The first `n` of a sample are the same for every larger one, and a row's chance does not depend
    on shards or on other rows. Args: `where`: an SQL condition, e.g. "language = 'de'".
    """
    if n < 1:
        raise StoreError(f"sample of {n} rows: ask for 1 or more")
    # md5 rather than DuckDB's hash(): that one may change from release to release.
    rows = source(dataset, options=", filename=true, file_row_number=true")
    keyed = "id" in dataset.schema.names
    key = "id" if keyed else "concat(parse_filename(filename), ':', file_row_number)"
    sql = (
        f"select filename, file_row_number from {rows} as this "
        f"where (\n{where or 'true'}\n) "
        f"order by md5(concat({int(seed)}, ':', {key})), filename, file_row_number limit {int(n)}"
    )
    _, picked = Catalog(dataset.store, this=dataset).query(sql)
    return _take(dataset, [(str(file), int(row)) for file, row in picked])


def _take(dataset: Dataset, places: list[tuple[str, int]]) -> pa.Table:
    """Rows by file and number, reading only the row groups that hold them."""
    found: dict[tuple[str, int], pa.Table] = {}
    for file in sorted({file for file, _ in places}):
        wanted = sorted(row for other, row in places if other == file)
        with pq.ParquetFile(file) as parquet:
            start = 0
            for group in range(parquet.metadata.num_row_groups):
                end = start + parquet.metadata.row_group(group).num_rows
                if inside := [row for row in wanted if start <= row < end]:
                    table = parquet.read_row_group(group)
                    for row in inside:  # taken, not sliced: a slice would keep the whole group
                        found[file, row] = table.take([row - start])
                start = end
    return pa.concat_tables([dataset.schema.empty_table(), *(found[place] for place in places)])
