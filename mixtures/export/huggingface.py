"""Hugging Face's layout: a card and `data/train-*.parquet`, as `datasets` and the hub read it.

In: any version. Out: `README.md` (the card: what it is, how it was made, its columns) and its
shards as they are. Shown by: `gristmill export synth/qa --to huggingface --out qa`, then
`datasets.load_dataset("qa")`. Limit: nothing is uploaded; the folder is what `hf upload` takes.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from gristmill.ids import schema_text
from gristmill.lineage import lineage
from gristmill.progress import Progress
from gristmill.store import Dataset
from mixtures.export.files import Part


def write(dataset: Dataset, place: Path, progress: Progress) -> tuple[list[Part], dict[str, Any]]:
    """Copy all shards and write the card."""
    data = place / "data"
    data.mkdir()
    shards = dataset.manifest["shards"]
    parts = []
    phase = progress.phase(f"export {dataset.name}", dataset.rows, "rows")
    for number, (file, shard) in enumerate(zip(dataset.files, shards, strict=True)):
        name = f"train-{number:05d}-of-{len(shards):05d}.parquet"
        shutil.copyfile(file, data / name)
        phase.advance(shard["rows"])
        parts.append(Part(f"data/{name}", sequences=shard["rows"]))
    phase.finish()
    (place / "README.md").write_text(card(dataset), encoding="utf-8")
    return parts, {"rows": dataset.rows}


def card(dataset: Dataset) -> str:
    """The dataset card: front matter for the hub, then what people want to know."""
    head = {
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "train", "path": "data/train-*.parquet"}],
            }
        ],
        "tags": ["gristmill", dataset.manifest["kind"]],
    }
    columns = "\n".join(f"| `{name}` | `{kind}` |" for name, kind in schema_text(dataset.schema))
    steps = "\n".join(
        f"| `{made.ref}` | {made.use} | {'' if made.rows is None else f'{made.rows:,}'} |"
        for made in lineage(dataset)
    )
    return (
        f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n"
        f"# {dataset.name}\n\n"
        f"Version `{dataset.version}`: {dataset.rows:,} rows of kind "
        f"`{dataset.manifest['kind']}`.\n\n"
        f"## How it was made\n\n| version | step | rows |\n|---|---|---|\n{steps}\n\n"
        f"## Columns\n\n| column | type |\n|---|---|\n{columns}\n"
    )
