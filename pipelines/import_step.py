"""Import: rows that another tool made, into the store, in the form and the types of their kind.

In: Parquet or JSON files. Out: one version; each file's rows in order. Documents may rather come
in through `curate` without ops, which also gives them a ledger.
Shown by: `gristmill import chats/tulu 'tulu/*.parquet' --kind chat`.
Limit: all files share one schema; a row that breaks it is an error, not a drop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field, field_validator

from gristmill.errors import GristmillError
from gristmill.fs import expand
from gristmill.ids import digest
from gristmill.schema import kind
from gristmill.step import Output, Phase, Step, StepRun, Task, TaskContext
from pipelines.import_files import tables
from pipelines.import_forms import OPTIONAL, Account, converted


class Import(Step):
    """Take rows into the store; `id` is made from the row where there is none."""

    VERSION: ClassVar[int] = 2

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
        schema, without = _schema(files[0].path, files[0].name, self.kind)
        yield Phase(
            "import",
            [
                Task(
                    f"{index:05d}",
                    _import_file,
                    {
                        "path": file.path,
                        "name": file.name,
                        "kind_name": self.kind,
                        "schema": schema,
                    },
                    file.size,
                )
                for index, file in enumerate(files)
            ],
        )
        found = [record.value for record in run.records("import")]
        for note in _notes(self.kind, found):
            run.note(note)
        if without:
            run.note(f"no column {' and none '.join(map(repr, without))}: null in every row")


def _notes(kind_name: str, found: list[dict[str, Any]]) -> Iterator[str]:
    """What was converted, and what a row of the kind has no place for."""
    rows = sum(one["rows"] for one in found)
    forms, lost = Counter[str](), Counter[str]()
    for one in found:
        forms.update(one["forms"])
        lost.update(one["lost"])
    for about, count in forms.items():
        if about:
            yield f"{count:,} of {rows:,} rows became a {kind_name} from {about}"
    if lost:
        named = ", ".join(f"{key!r} in {count:,} of {rows:,} rows" for key, count in lost.items())
        yield f"messages have role and content alone, so these keys of theirs are lost: {named}"


def _schema(path: str, name: str, kind_name: str) -> tuple[pa.Schema, list[str]]:
    """The schema of the first file, with the declared columns in their declared types; and which of
    them it does not have and need not have."""
    first = next(tables(path, name))
    found = converted(first.slice(0, 0), kind_name, name, Account()).schema
    optional = OPTIONAL.get(kind_name, ())
    fields = []
    for field in kind(kind_name).required:
        if field.name not in ("id", *optional, *found.names):
            raise GristmillError(
                f"{name}: a {kind_name} needs column {field.name!r}; the file has "
                f"{', '.join(found.names)}, which is none of the forms that are known "
                "(docs/commands/import.md). Rename columns, or import as --kind rows"
            )
        fields.append(field)
    names = {field.name for field in fields}
    schema = pa.schema([*fields, *(field for field in found if field.name not in names)])
    return schema, [column for column in optional if column not in found.names]


def _import_file(
    ctx: TaskContext, path: str, name: str, kind_name: str, schema: pa.Schema
) -> dict[str, Any]:
    account = Account()
    writer = ctx.writer("", schema)
    for table in tables(path, name):
        before = account.rows
        try:
            writer.write(_fit(converted(table, kind_name, name, account), kind_name, schema))
        except pa.ArrowException as error:
            raise GristmillError(
                f"{name}, rows {before + 1} to {account.rows}: {error}; files of an import share "
                "their columns, and these have the types of their kind"
            ) from None
    return {"rows": account.rows, "forms": dict(account.forms), "lost": dict(account.lost)}


def _fit(table: pa.Table, kind_name: str, schema: pa.Schema) -> pa.Table:
    if "id" in schema.names and "id" not in table.schema.names:
        # The row is all that an imported row is known by; equal rows share an id.
        ids = [digest(_plain(row))[:32] for row in table.to_pylist()]
        table = table.append_column("id", pa.array(ids, pa.string()))
    for column in OPTIONAL.get(kind_name, ()):
        if column not in table.schema.names:
            table = table.append_column(column, pa.nulls(table.num_rows, pa.string()))
    there, wanted = set(table.schema.names), set(schema.names)
    for column in sorted(wanted ^ there):
        has, has_not = (
            ("the first file", "this one") if column in wanted else ("this file", "the first")
        )
        raise pa.ArrowInvalid(f"{has} has a column {column!r}, {has_not} has not")
    return pa.table({f.name: _cast(table[f.name], f, kind_name) for f in schema})


def _cast(values: pa.ChunkedArray, field: pa.Field, kind_name: str) -> pa.ChunkedArray:
    told = (
        f"column {field.name!r} is {values.type}; in a {kind_name}, or the first file, {field.type}"
    )
    if not set(_keys(values.type)) <= set(_keys(field.type)):
        raise pa.ArrowInvalid(f"{told}: keys would be lost")
    try:
        return values.cast(field.type)
    except pa.ArrowException as error:
        raise pa.ArrowInvalid(f"{told}: {error}") from None


def _keys(type_: pa.DataType, at: str = "") -> Iterator[str]:
    """The keys of nested values, which a cast leaves out without a word."""
    if pa.types.is_list(type_):
        yield from _keys(type_.value_type, f"{at}[]")
    elif pa.types.is_struct(type_):
        for field in type_:
            yield f"{at}.{field.name}"
            yield from _keys(field.type, f"{at}.{field.name}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)
