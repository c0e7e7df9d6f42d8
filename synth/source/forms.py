"""Forms of `from`: what a step reads, before its rows are cut into tasks.

In: `from:` as a user writes it. Out: its datasets, its files, its columns, its parts.
Shown by: `python -m pytest tests/synth/test_step.py`.
Limit: of JSONL the columns are those of its first thousand lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from gristmill.errors import RecipeError, explain, nearest
from gristmill.fs import expand, open_file
from gristmill.step import StepRun
from gristmill.store import Dataset
from synth.source.rows import (
    EmptyRows,
    JsonRows,
    Part,
    ProceduralRows,
    dataset_parts,
    file_parts,
    value_parts,
)
from synth.source.shots import ShotRows, Shots

FILES = ("jsonl", "parquet")
SAMPLE = 1000  # lines of JSON that tell its columns
From = dict[str, Any] | str | tuple[str, ...]


def datasets(given: From) -> list[str]:
    """References that are read."""
    if isinstance(given, dict):
        shots = shots_of(given)
        return shots.datasets if shots else []
    return [given] if isinstance(given, str) else list(given)


def patterns(given: From) -> list[str]:
    """Paths and globs that are read."""
    if not isinstance(given, dict):
        return []
    shots = shots_of(given)
    where = shots.of if shots is not None else given
    if not isinstance(where, dict):
        return []
    ((form, value),) = where.items()
    if form not in FILES:
        return []
    return [value] if isinstance(value, str) else list(value)


def shots_of(given: From) -> Shots | None:
    """The form `shots`, if it is one."""
    found = given.get("shots") if isinstance(given, dict) else None
    return None if found is None else Shots.model_validate(found)


def schema(given: From, run: StepRun | None) -> pa.Schema | None:
    """Columns of the source rows; None of datasets before the step runs."""
    if not isinstance(given, dict):
        return None if run is None else schema_of_all([run.inputs[ref] for ref in datasets(given)])
    ((form, value),) = given.items()
    if form == "shots":
        return pa.schema([("id", pa.string()), ("examples", pa.list_(pa.struct([])))])
    if form in FILES:
        return file_schema(form, value)
    if form == "procedural":
        from synth.procedural import parse_source

        return parse_source(value).schema
    if form == "empty":
        return pa.schema([("id", pa.string())])
    columns = {name: schema_of([{name: one} for one in listed]) for name, listed in value.items()}
    return pa.unify_schemas(list(columns.values()))


def schema_of_all(given: Sequence[Dataset]) -> pa.Schema:
    """Of all datasets; the first one's type counts."""
    fields: dict[str, pa.Field] = {}
    for dataset in given:
        fields = {field.name: field for field in dataset.schema} | fields
    return pa.schema(list(fields.values()))


def own_rows(given: From) -> int | None:
    """How many rows a source brings that is neither a dataset nor a file; None of others."""
    if not isinstance(given, dict):
        return None
    ((form, value),) = given.items()
    if (shots := shots_of(given)) is not None:
        return shots.count
    if form == "procedural":
        from synth.procedural import parse_source

        return parse_source(value).count
    if form == "empty":
        return int(value)
    return sum(map(len, value.values())) if form == "values" else None


def parts(given: From, run: StepRun, seed: int, every: int) -> list[Part]:
    """The source rows; `every`: about how many of them a task takes."""
    if not isinstance(given, dict):
        return [part for ref in datasets(given) for part in dataset_parts(run.inputs[ref])]
    ((form, value),) = given.items()
    if (shots := shots_of(given)) is not None:
        return [ShotRows(_pool(shots, given, run, every), shots.k, seed, 0, shots.count)]
    if form in FILES:
        return _file_parts(form, given, run, every)
    if form == "procedural":
        from synth.procedural import parse_source

        return [ProceduralRows(value, seed, 0, parse_source(value).count)]
    return [EmptyRows(0, value)] if form == "empty" else value_parts(value)


def _pool(shots: Shots, given: From, run: StepRun, every: int) -> tuple[Part, ...]:
    if isinstance(shots.of, dict):
        ((form, _),) = shots.of.items()
        return tuple(_file_parts(form, given, run, every))
    return tuple(part for ref in shots.datasets for part in dataset_parts(run.inputs[ref]))


def _file_parts(form: str, given: From, run: StepRun, every: int) -> list[Part]:
    found = {file.path: file for pattern in patterns(given) for file in run.files[pattern]}
    return file_parts(form, list(found.values()), every)


def file_schema(kind: str, patterns: str | Sequence[str]) -> pa.Schema:
    """Columns of the first file: declared, or told by its first lines."""
    path = expand(patterns)[0].path
    if kind == "parquet":
        with open_file(path) as raw:
            return pq.read_schema(raw)
    lines = list(JsonRows(path, 0, SAMPLE).read())
    if not lines:
        raise RecipeError(f"from: {path!r} has no rows; give a file with a JSON object a line")
    return schema_of([values for values, problem in lines if not problem])


def schema_of(rows: Sequence[Mapping[str, Any]]) -> pa.Schema:
    """Columns of Python rows; those of mixed types count as text."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    fields = []
    for name in names:
        try:
            kind = pa.array([row.get(name) for row in rows]).type
        except (pa.ArrowException, TypeError):
            kind = pa.string()
        fields.append((name, pa.string() if pa.types.is_null(kind) else kind))
    return pa.schema(fields)


def check_source(given: Any) -> None:
    """RecipeError where `from` is neither a dataset nor one of the forms."""
    if isinstance(given, str) or (given and isinstance(given, tuple)):
        return
    forms = ("jsonl", "parquet", "values", "empty", "procedural", "shots")
    if not isinstance(given, dict) or len(given) != 1:
        raise RecipeError(f"from is {given!r:.80}; write a dataset's name or `{{FORM: …}}`")
    ((form, value),) = given.items()
    if form not in forms:
        raise RecipeError(f"from has no form {form!r}{nearest(str(form), forms)}")
    if form == "empty" and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise RecipeError(f"from.empty is {value!r}; it takes a number of rows above 0")
    if form == "procedural":
        from synth.procedural import parse_source

        parse_source(value)
    if form == "shots":
        try:
            Shots.model_validate(value)
        except ValidationError as error:
            raise RecipeError(f"from.shots: {explain(error, Shots)}") from None
    if form == "values":
        if not isinstance(value, dict) or not value:
            raise RecipeError(f"from.values is {value!r:.80}; write `{{topic: [rivers, trains]}}`")
        for name, listed in value.items():
            if not isinstance(listed, list | tuple) or not listed:
                raise RecipeError(f"from.values.{name} is {listed!r:.60}; it takes a list")
    if form in ("jsonl", "parquet") and not (
        isinstance(value, str) or (isinstance(value, list | tuple) and value)
    ):
        raise RecipeError(f"from.{form} is {value!r:.80}; it takes a path, a glob or a list")
