"""Forms of `from`: what a step reads, before its rows are cut into tasks.

In: `from:` as a user writes it. Out: its datasets, its files, its columns, its parts.
Shown by: `python -m pytest tests/synth/test_step.py`.
Limit: of JSONL the columns are those of its first thousand lines.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from gristmill.step import StepRun
from synth.source.rows import (
    EmptyRows,
    Part,
    ProceduralRows,
    dataset_parts,
    file_parts,
    file_schema,
    schema_of,
    value_parts,
)
from synth.source.shots import ShotRows, Shots

FILES = ("jsonl", "parquet")
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
        if run is None:
            return None
        fields: dict[str, pa.Field] = {}
        for ref in datasets(given):
            fields = {field.name: field for field in run.inputs[ref].schema} | fields
        return pa.schema(list(fields.values()))
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
