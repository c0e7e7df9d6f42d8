"""Import: rows that another tool made, into the store as they are, checked against their kind.

In: Parquet or JSONL files. Out: one version; each file's rows in order. Documents may rather come
in through `curate` without ops, which also gives them a ledger.
Shown by: `gristmill import chats/tulu 'tulu/*.parquet' --kind chat`.
Limit: all files share one schema; a row that breaks it is an error, not a drop.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import pyarrow as pa
import pyarrow.json as pajson
import pyarrow.parquet as pq
from pydantic import Field, field_validator

from gristmill.errors import GristmillError
from gristmill.fs import expand, open_file
from gristmill.ids import digest
from gristmill.schema import kind
from gristmill.step import Output, Phase, Step, StepRun, Task, TaskContext


class Import(Step):
    """Take rows into the store unchanged; `id` is made from the row where there is none."""

    from_: str | list[str] = Field(alias="from", min_length=1)
    kind: str = "rows"

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, name: str) -> str:
        return kind(name).name

    def files(self) -> list[str]:
        return [self.from_] if isinstance(self.from_, str) else self.from_

    def outputs(self) -> dict[str, Output]:
        return {"": Output(kind(self.kind).name, "rows as imported")}

    def phases(self, run: StepRun) -> Iterator[Phase]:
        files = expand(self.files())
        schema = _schema(files[0].path, self.kind)
        yield Phase(
            "import",
            [
                Task(
                    f"{index:05d}",
                    _import_file,
                    {"path": file.path, "name": file.name, "schema": schema},
                    file.size,
                )
                for index, file in enumerate(files)
            ],
        )


def _batches(path: str) -> Iterator[pa.Table]:
    with open_file(path) as file:
        if path.endswith((".parquet", ".pq")):
            for batch in pq.ParquetFile(file).iter_batches(8192):
                yield pa.table(batch)
            return
        packing = {".gz": "gzip", ".zst": "zstd"}.get(PurePath(path).suffix)
        yield pajson.read_json(pa.CompressedInputStream(file, packing) if packing else file)


def _schema(path: str, kind_name: str) -> pa.Schema:
    """The schema of the first file, with the declared columns in their declared types."""
    found = next(_batches(path)).schema
    fields = []
    for field in kind(kind_name).required:
        if field.name != "id" and field.name not in found.names:
            raise GristmillError(
                f"{path}: a {kind_name} needs column {field.name!r}; the file has "
                f"{', '.join(found.names)}. Rename it, or import as --kind rows"
            )
        fields.append(field)
    names = {field.name for field in fields}
    return pa.schema([*fields, *(field for field in found if field.name not in names)])


def _import_file(ctx: TaskContext, path: str, name: str, schema: pa.Schema) -> dict[str, Any]:
    rows = 0
    writer = ctx.writer("", schema)
    try:
        for table in _batches(path):
            writer.write(_fit(table, schema))
            rows += table.num_rows
    except (pa.ArrowInvalid, pa.ArrowTypeError, KeyError) as error:
        raise GristmillError(
            f"{name}, about row {rows}: {error}; files of an import share their columns"
        ) from None
    return {"rows": rows}


def _fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    if "id" in schema.names and "id" not in table.schema.names:
        # The row is all that an imported row is known by; equal rows share an id.
        ids = [digest(_plain(row))[:32] for row in table.to_pylist()]
        table = table.append_column("id", pa.array(ids, pa.string()))
    return table.select(schema.names).cast(schema)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)
