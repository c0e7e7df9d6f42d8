"""Files of an import as tables: Parquet, JSON lines, and a JSON array of objects.

In: a path. Out: tables of at most 8,192 rows. Shown by: `gristmill import seeds seeds.json`.
Limit: a JSON file is held in memory whole, an array of at most 256 MB; an object has 32 MB at most.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import IO, Any

import pyarrow as pa
import pyarrow.json as pajson
import pyarrow.parquet as pq

from gristmill.errors import GristmillError
from gristmill.fs import open_file

ROWS = 8192
MAX_ARRAY = 256 << 20  # bytes; Python's objects of them take about eight times as much
_BLOCK = 32 << 20  # Arrow refuses an object that is longer
_PACKING = {".gz": "gzip", ".zst": "zstd"}


def tables(path: str, name: str) -> Iterator[pa.Table]:
    """The rows of a file, in order; GristmillError, which names it, where it cannot be read."""
    try:
        if not path.endswith((".parquet", ".pq")):
            for batch in _json(path, name).to_batches(max_chunksize=ROWS):
                yield pa.table(batch)
            return
        with open_file(path) as file:
            found = pq.ParquetFile(file)
            if not found.metadata.num_rows:
                yield found.schema_arrow.empty_table()
            for batch in found.iter_batches(ROWS):
                yield pa.table(batch)
    except (pa.ArrowException, EOFError, OSError) as error:
        raise GristmillError(
            f"{name}: {error}; an import reads Parquet (.parquet, .pq), JSON lines and JSON arrays "
            "of objects (.gz, .zst), in which a key has values of one type"
        ) from None


def _json(path: str, name: str) -> pa.Table:
    with _opened(path) as file:
        head = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head:
        raise GristmillError(f"{name} is empty; an import needs rows")
    if head.startswith(b"["):
        lines = _lines(path, name)
        return _read(lambda schema: _parse(io.BytesIO(lines), schema))

    def parse(schema: pa.Schema | None) -> pa.Table:
        with _opened(path) as file:
            return _parse(file, schema)

    return _read(parse)


def _read(parse: Any) -> pa.Table:
    """Arrow takes text that looks like a date for one; JSON has none, so text stays text."""
    found: pa.Table = parse(None)
    told = pa.schema([pa.field(field.name, _undated(field.type)) for field in found.schema])
    return found if told == found.schema else parse(told)


def _parse(file: IO[bytes] | pa.NativeFile, schema: pa.Schema | None) -> pa.Table:
    return pajson.read_json(
        file, pajson.ReadOptions(block_size=_BLOCK), pajson.ParseOptions(explicit_schema=schema)
    )


def _undated(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_temporal(type_):
        return pa.string()
    if pa.types.is_list(type_):
        return pa.list_(_undated(type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([(field.name, _undated(field.type)) for field in type_])
    return type_


def _lines(path: str, name: str) -> bytes:
    """A JSON array as lines, so that it is read as they are."""
    with _opened(path) as file:
        content = file.read(MAX_ARRAY + 1)
    if len(content) > MAX_ARRAY:
        raise GristmillError(
            f"{name} is a JSON array of more than {MAX_ARRAY >> 20} MB; make lines of it: "
            f"`jq -c '.[]' {PurePath(name).name} > rows.jsonl`"
        )
    try:
        rows = json.loads(content.decode("utf-8-sig"))
    except ValueError as error:
        raise GristmillError(f"{name} begins as a JSON array and is none: {error}") from None
    wrong = next((n for n, row in enumerate(rows) if not isinstance(row, dict)), None)
    if wrong is not None or not rows:
        what = "is empty" if not rows else f"has {rows[wrong]!r:.60} at {wrong}"
        raise GristmillError(f"{name}: the JSON array {what}; rows are objects")
    return "\n".join(json.dumps(row) for row in rows).encode()


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    """Bytes as they were before they were packed."""
    with open_file(path) as file:
        packing = _PACKING.get(PurePath(path).suffix)
        yield pa.CompressedInputStream(file, packing) if packing else file
