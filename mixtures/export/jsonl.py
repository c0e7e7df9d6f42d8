"""JSON lines: any dataset's rows as they are, one object a line.

In: a dataset of texts (or of any rows without binary columns). Out: `00000.jsonl …`, one for each
shard. Shown by: `gristmill export web/final --to jsonl --out web-jsonl`.
Limit: dates become text, NaN and infinity null (JSON has neither) unless they lie in lists. What
reads Parquet needs no export: a version's folder is Parquet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from gristmill.errors import GristmillError
from gristmill.progress import Progress
from gristmill.query import literal
from gristmill.store import Dataset
from mixtures.export.files import Part


def write(dataset: Dataset, place: Path, progress: Progress) -> tuple[list[Part], dict[str, Any]]:
    """Write all shards; DuckDB makes the JSON, so memory is a few row groups."""
    import duckdb

    binary = [field.name for field in dataset.schema if _is_binary(field.type)]
    if binary:
        raise GristmillError(
            f"{dataset.ref}: column {binary[0]!r} is binary and JSON has no bytes; export tokens "
            "and mixtures with --to olmo, megatron, datatrove or mds"
        )
    columns = ", ".join(_column(field) for field in dataset.schema)
    parts = []
    phase = progress.phase(f"export {dataset.name}", dataset.rows, "rows")
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set enable_progress_bar = false")
        for file, shard in zip(dataset.files, dataset.manifest["shards"], strict=True):
            part = Part(f"{file.stem}.jsonl", sequences=shard["rows"])
            connection.execute(
                f"copy (select {columns} from "
                f"read_parquet({literal(file)}, hive_partitioning = false)) "
                f"to {literal(place / part.file)} (format json)"
            )
            phase.advance(shard["rows"])
            parts.append(part)
    phase.finish()
    return parts, {"rows": dataset.rows}


def _column(field: pa.Field) -> str:
    """A column as JSON can hold it."""
    name = '"' + field.name.replace('"', '""') + '"'
    if pa.types.is_floating(field.type):
        return f"case when isfinite({name}) then {name} end as {name}"
    return name


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
