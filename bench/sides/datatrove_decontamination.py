"""datatrove's n-gram decontamination filter over documents in memory.

In: a JSONL corpus, benchmark items as JSONL {"task", "query", "label"}. Out: documents flagged.
Shown by: `python -m bench.decontamination`. Limit: its indexer cannot be constructed without
lighteval, which downloads benchmarks from a hub; so its own `compute_hashes` is called on our items
and the hashes are written in its file format, once. The filter, which is timed, is unchanged.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.decont.n_grams import (
    NGramsDecontConfig,
    NGramsDecontFilter,
    NGramsDecontIndexer,
)
from datatrove.utils.hashing import create_hash_func
from datatrove.utils.logging import logger
from datatrove.utils.word_tokenizers import load_word_tokenizer

from bench.sides.documents import texts
from bench.worker import Job


def write_index(items: str, folder: Path, config: NGramsDecontConfig) -> None:
    """One `TASK.index.hashes` a task."""
    indexer = SimpleNamespace(
        config=config,
        tokenizer=load_word_tokenizer("en"),
        hash_func=create_hash_func(config.hash_config),
    )
    hashes: dict[str, set[int]] = defaultdict(set)
    with Path(items).open(encoding="utf-8") as lines:
        for line in lines:
            item = json.loads(line)
            hashes[item["task"]].update(
                NGramsDecontIndexer.compute_hashes(indexer, item["label"], item["query"])
            )
    for task, found in hashes.items():
        array = np.array(sorted(found), dtype=config.hash_config.np_descr)
        array.tofile(folder / f"{task}.index.hashes")


def open_job(path: str, items: str, n_grams: int) -> Job:
    """Every document past the filter; the index is loaded before the first timed run."""
    logger.remove()
    loaded = texts(path)
    # With the question's own n-grams, as every other recipe has them.
    config = NGramsDecontConfig(n_grams=n_grams, find_query_ngrams=True)
    folder = Path(items).parent / f"datatrove-index-{n_grams}"
    if not folder.exists():
        building = Path(tempfile.mkdtemp(dir=folder.parent))
        write_index(items, building, config)
        building.rename(folder)
    block = NGramsDecontFilter(str(folder), config=config)
    block.load_index_hashes()
    size = len(block._index_hashes)

    def run() -> dict[str, Any]:
        hits = sum(
            block.filter(Document(text=text, id=str(number))) is not True
            for number, text in enumerate(loaded)
        )
        return {"documents": len(loaded), "contaminated": hits, "index": size}

    return Job(run=run, packages=["datatrove"])
