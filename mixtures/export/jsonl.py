"""JSON lines: any dataset's rows as they are, one object a line.

In: a dataset of texts (or of any rows without binary columns). Out: `00000.jsonl …`, one for each
shard. Shown by: `gristmill export web/final --to jsonl --out web-jsonl`.
Limit: dates become text; a Parquet reader needs no export, as a version's folder is Parquet.
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

    binary = [field.name for field in dataset.schema if pa.types.is_binary(field.type)]
    if binary:
        raise GristmillError(
            f"{dataset.ref}: column {binary[0]!r} is binary and JSON has no bytes; export tokens "
            "and mixtures with --to olmo, megatron, datatrove or mds"
        )
    parts = []
    phase = progress.phase(f"export {dataset.name}", dataset.rows, "rows")
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("set enable_progress_bar = false")
        for file, shard in zip(dataset.files, dataset.manifest["shards"], strict=True):
            part = Part(f"{file.stem}.jsonl", sequences=shard["rows"])
            connection.execute(
                f"copy (from read_parquet({literal(file)}, hive_partitioning = false)) "
                f"to {literal(place / part.file)} (format json)"
            )
            phase.advance(shard["rows"])
            parts.append(part)
    phase.finish()
    return parts, {"rows": dataset.rows}
