"""datatrove's FineWeb example on local files: WARC in, deduplicated Parquet out.

In: a folder of WARC files and a fastText language model. Out: survivors as Parquet.
Shown by: `python -m bench.fineweb`. Limit: the example's steps and options, with its Slurm executor
and bucket paths replaced by the local executor and a folder, JSONL outputs by Parquet, and without
the writers of dropped documents; `lid.176.ftz`, a file, stands in for the model that it downloads.
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
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
    URLFilter,
)
from datatrove.pipeline.readers import ParquetReader, WarcReader
from datatrove.pipeline.writers import ParquetWriter
from datatrove.utils.logging import logger

from bench.worker import Job, scratch

CONFIG = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)


def _language_filter(model: str) -> LanguageFilter:
    import fasttext

    block = LanguageFilter(languages=["en"])
    block.model._model = fasttext.load_model(model)
    return block


def open_job(warc: str, model: str, url_filter: bool = True) -> Job:
    """One WARC file through filtering and the four stages of deduplication.

    The language block holds a model that cannot be copied, and the executor copies its pipeline;
    so the blocks run as a plain chain in this process, as the executor runs them for one task.
    """
    logger.remove()
    source = Path(warc)
    work = scratch("fineweb-")
    language = _language_filter(model)
    urls = [URLFilter()] if url_filter else []

    def before() -> None:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()

    def run() -> dict[str, Any]:
        place = str(work)
        _chain(
            [
                WarcReader(str(source.parent), glob_pattern=source.name),
                *urls,
                Trafilatura(favour_precision=True),
                language,
                GopherRepetitionFilter(),
                GopherQualityFilter(),
                C4QualityFilter(filter_no_terminal_punct=False),
                FineWebQualityFilter(),
                ParquetWriter(f"{place}/base"),
            ]
        )
        reader = ParquetReader(f"{place}/base")
        stages: list[tuple[int, list[Any]]] = [
            (1, [reader, MinhashDedupSignature(f"{place}/signatures", config=CONFIG)]),
            (
                CONFIG.num_buckets,
                [MinhashDedupBuckets(f"{place}/signatures", f"{place}/buckets", config=CONFIG)],
            ),
            (1, [MinhashDedupCluster(f"{place}/buckets", f"{place}/remove", config=CONFIG)]),
            (1, [reader, MinhashDedupFilter(f"{place}/remove"), ParquetWriter(f"{place}/out")]),
        ]
        for number, (tasks, blocks) in enumerate(stages):
            LocalPipelineExecutor(
                pipeline=blocks, tasks=tasks, workers=1, logging_dir=f"{place}/logs/{number}"
            ).run()
        return {"filtered": _rows(work / "base"), "survivors": _rows(work / "out")}

    return Job(run=run, before=before, packages=["datatrove", "trafilatura"])


def _chain(blocks: list[Any]) -> None:
    """What the executor does with a pipeline and one task."""
    stream: Any = None
    for block in blocks:
        stream = block.run(stream, 0, 1)
    for _ in stream or ():
        pass


def _rows(folder: Path) -> int:
    import pyarrow.parquet as pq

    return sum(pq.ParquetFile(file).metadata.num_rows for file in folder.rglob("*.parquet"))
