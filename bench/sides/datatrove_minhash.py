"""datatrove's MinHash: signatures in memory, and its four stages with its local executor.

In: a JSONL or Parquet corpus. Out: signatures; survivors as Parquet.
Shown by: `python -m bench.signatures`, `python -m bench.dedup`.
Limit: one task and one worker, because one core is compared with one core.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter
from datatrove.utils.logging import logger

from bench.sides.documents import texts
from bench.worker import Job, scratch

CONFIG = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)


def open_signatures(path: str) -> Job:
    """Shingles and signature of each document; nothing is written."""
    loaded = texts(path)
    step = MinhashDedupSignature(str(scratch("signatures-")), config=CONFIG)

    def run() -> dict[str, Any]:
        made = 0
        for text in loaded:
            shingles = step.get_shingles(text)
            if shingles.size:
                step.get_signature(shingles)
                made += 1
        return {"documents": len(loaded), "signatures": made}

    return Job(run=run, packages=["datatrove", "spacy"])


def open_stages(parquet: str) -> Job:
    """Parquet in, survivors' Parquet out, through all four stages."""
    logger.remove()
    source = Path(parquet)
    work = scratch("datatrove-")

    def reader() -> ParquetReader:
        return ParquetReader(str(source.parent), glob_pattern=source.name)

    def before() -> None:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()

    def run() -> dict[str, Any]:
        place = str(work)
        pipelines = [
            (1, [reader(), MinhashDedupSignature(f"{place}/signatures", config=CONFIG)]),
            (
                CONFIG.num_buckets,
                [MinhashDedupBuckets(f"{place}/signatures", f"{place}/buckets", config=CONFIG)],
            ),
            (1, [MinhashDedupCluster(f"{place}/buckets", f"{place}/remove", config=CONFIG)]),
            (
                1,
                [reader(), MinhashDedupFilter(f"{place}/remove"), ParquetWriter(f"{place}/out")],
            ),
        ]
        for number, (tasks, blocks) in enumerate(pipelines):
            LocalPipelineExecutor(
                pipeline=blocks, tasks=tasks, workers=1, logging_dir=f"{place}/logs/{number}"
            ).run()
        return {"survivors": _rows(work / "out")}

    return Job(run=run, before=before, packages=["datatrove"])


def _rows(folder: Path) -> int:
    import pyarrow.parquet as pq

    return sum(pq.ParquetFile(file).metadata.num_rows for file in folder.rglob("*.parquet"))
