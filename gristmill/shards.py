"""Writing shards: Arrow batches into Parquet files, with the digest of their rows and their totals.

In: batches of one schema. Out: `00000.parquet …` and one record a shard (rows, bytes, digests,
totals).
Shown by: any step's task. Limit: a shard is cut between batches, so one batch is never split.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gristmill.ids import RowDigest
from gristmill.schema import kind

SHARD_BYTES = 256 << 20  # Arrow bytes after which the next batch opens a new shard
ROW_GROUP_BYTES = 24 << 20
_ONE_PAGE = {"data_page_size": 1 << 30, "max_rows_per_page": 1 << 30, "data_page_version": "1.0"}
COUNTED_VALUES = 1000  # a column with more distinct values is not counted in manifests


class ShardWriter:
    """Write batches of one output of one task into `folder`. Use as a context manager."""

    def __init__(self, folder: Path, schema: pa.Schema, kind_name: str = "rows") -> None:
        self._folder = folder
        self._mapped = kind(kind_name).mapped
        self._schema = schema = stored(schema, self._mapped)
        self._counted = [name for name in kind(kind_name).counted if name in schema.names]
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0
        self._shard_bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._path = folder
        self._digest = RowDigest(schema)
        self._rows = 0
        self._text_bytes = 0
        self._counts: dict[str, Counter[str]] = {}
        self.records: list[dict[str, Any]] = []
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def schema(self) -> pa.Schema:
        return self._schema

    def write(self, table: pa.Table | pa.RecordBatch) -> None:
        """Append rows; columns are put in the schema's order, missing ones are an error."""
        if table.num_rows == 0:
            return
        if table.schema.names != self._schema.names:
            table = table.select(self._schema.names)
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        if not table.schema.equals(self._schema):
            table = table.cast(self._schema)
        if self._shard_bytes >= SHARD_BYTES:
            self._finish_shard()
        self._digest.update(table)
        self._rows += table.num_rows
        self._count(table)
        self._shard_bytes += table.nbytes
        self._pending_bytes += table.nbytes
        self._pending += table.to_batches()
        if self._pending_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> list[dict[str, Any]]:
        """Finish the last shard. An output without rows still gets one empty shard: its schema."""
        if self._rows or not self.records:
            self._finish_shard()
        return self.records

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, error: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif self._writer is not None:
            self._writer.close()

    def _count(self, table: pa.Table) -> None:
        if "text" in self._schema.names:
            self._text_bytes += pc.sum(pc.binary_length(table["text"])).as_py() or 0
        for name in self._counted:
            counter = self._counts.setdefault(name, Counter())
            if len(counter) > COUNTED_VALUES:
                continue  # given up: dropped at the end of the shard
            for entry in pc.value_counts(table[name]).to_pylist():
                counter["" if entry["values"] is None else entry["values"]] += entry["counts"]

    def _open(self) -> pq.ParquetWriter:
        self._path = self._folder / f"{len(self.records):05d}.parquet"
        names = self._schema.names
        return pq.ParquetWriter(
            self._path,
            self._schema,
            compression={n: "none" if n in self._mapped else "zstd" for n in names},
            compression_level={n: 3 for n in names if n not in self._mapped},
            use_dictionary=[
                field.name
                for field in self._schema
                if pa.types.is_string(field.type) and field.name not in {"text", "id", "url"}
            ],
            write_page_index=True,
            **(_ONE_PAGE if self._mapped else {}),
        )

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = self._open()
        if self._pending:
            table = pa.Table.from_batches(self._pending, self._schema)
            self._writer.write_table(table.combine_chunks(), row_group_size=table.num_rows)
        self._pending, self._pending_bytes = [], 0

    def _finish_shard(self) -> None:
        self._flush()
        assert self._writer is not None
        self._writer.close()
        self._writer = None
        self.records.append(
            {
                "file": self._path.name,
                "rows": self._rows,
                "bytes": self._path.stat().st_size,
                "digest": self._digest.hexdigest(),
                "sha256": file_sha256(self._path),
                "text_bytes": self._text_bytes,
                "counts": {
                    name: dict(sorted(counter.items()))
                    for name, counter in self._counts.items()
                    if len(counter) <= COUNTED_VALUES
                },
            }
        )
        self._digest = RowDigest(self._schema)
        self._rows = self._text_bytes = self._shard_bytes = 0
        self._counts = {}


def stored(schema: pa.Schema, required: Collection[str] = ()) -> pa.Schema:
    """The schema as Parquet gives it back: it has no seconds, no date64 and no views.

    Columns in `required` have no nulls, so that the file holds their values and nothing else.
    """
    return pa.schema(
        [
            field.with_type(_stored(field.type)).with_nullable(field.name not in required)
            for field in schema
        ]
    )


def _stored(kind: pa.DataType) -> pa.DataType:
    types = pa.types
    if types.is_timestamp(kind) and kind.unit == "s":
        return pa.timestamp("ms", kind.tz)
    if types.is_date64(kind):
        return pa.date32()
    if types.is_time32(kind):
        return pa.time32("ms")
    if types.is_string_view(kind):
        return pa.string()
    if types.is_binary_view(kind):
        return pa.binary()
    if types.is_list(kind):
        return pa.list_(_stored(kind.value_type))
    if types.is_large_list(kind):
        return pa.large_list(_stored(kind.value_type))
    if types.is_struct(kind):
        return pa.struct([field.with_type(_stored(field.type)) for field in kind])
    return kind


def file_sha256(path: Path) -> str:
    """64 hex digits of a file's bytes, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def totals(shards: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Sum shard records: rows, bytes, text bytes, and the value counts of counted columns."""
    shards = list(shards)
    full = [shard["counts"] for shard in shards if shard["rows"]]
    # A shard that gave a column up (too many values) takes it from the whole.
    names = set.intersection(*(set(counts) for counts in full)) if full else set()
    counts = {name: Counter[str]() for name in sorted(names)}
    for name, counter in counts.items():
        for shard in full:
            counter.update(shard[name])
    return {
        "rows": sum(shard["rows"] for shard in shards),
        "bytes": sum(shard["bytes"] for shard in shards),
        "text_bytes": sum(shard["text_bytes"] for shard in shards),
        "counts": {
            name: dict(sorted(values.items()))
            for name, values in counts.items()
            if len(values) <= COUNTED_VALUES
        },
    }
