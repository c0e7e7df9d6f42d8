"""The task of our step `tokenize`, and the library under it called directly.

In: a JSONL corpus (its texts in memory for the library, a dataset of a store for the task) and a
tokenizer.json. Out: counts of tokens. Shown by: `python -m bench.tokenizing`.
Every run starts with an empty word cache, as a user's does.
Limit: the library's side stops at its own objects; `ids: true` makes arrays of them as well, which
is what a user then does. The task reads Parquet, digests what it writes, and writes it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from bench.sides.documents import texts
from bench.worker import Job, scratch


def open_library(path: str, tokenizer: str, threads: int = 1, ids: bool = False) -> Job:
    """`encode_batch_fast`: one call for all texts, or calls of 1,000 and arrays of their ids."""
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    import numpy as np
    from tokenizers import Tokenizer

    loaded, encoder = texts(path), Tokenizer.from_file(tokenizer)

    def run() -> dict[str, Any]:
        if not ids:
            made = encoder.encode_batch_fast(loaded, add_special_tokens=False)
            return {"documents": len(made), "tokens": sum(map(len, made))}
        arrays: list[Any] = []
        for start in range(0, len(loaded), 1000):
            batch = encoder.encode_batch_fast(
                loaded[start : start + 1000], add_special_tokens=False
            )
            arrays += [np.array(encoding.ids, np.uint16) for encoding in batch]
        return {"documents": len(arrays), "tokens": sum(map(len, arrays))}

    return Job(run=run, before=encoder.model._clear_cache, packages=["tokenizers"])


def open_task(parquet: str, tokenizer: str) -> Job:
    """One task of `tokenize`, from a shard of the store to published shards, in this process."""
    from gristmill.progress import Progress
    from gristmill.store import Store
    from gristmill.task import RunInfo, execute, published
    from mixtures.tokens.encode import open_encoder
    from mixtures.tokens.tokenize import Tokenize, _tokenize, settled
    from pipelines.run import run_recipe

    place = scratch("tokenize-")
    recipe = Path(__file__).parent.parent / "recipes" / "tokenizing.yaml"
    variables = {"documents": parquet, "tokenizer": tokenizer}
    with Progress(quiet=True) as quiet:
        run_recipe(
            recipe, store=place / "store", set=variables, only="docs/all", progress=quiet, workers=1
        )
    dataset = Store(place / "store")["docs/all"]
    fields = {"name": "t", "use": "tokenize", "from": "docs/all", "tokenizer": tokenizer}
    step = Tokenize.model_validate(fields)
    files, ends = settled(step, {"tokenizer.json": Path(tokenizer).read_bytes()})
    folder = place / "tokenizer"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    state = open_encoder(str(folder), ends["bos"], ends["eos"], step.special)
    info = RunInfo(str(place / "store"), str(place / "staging"), {"": "tokens"})
    args = {"path": str(dataset.files[0]), "first": 0, "end": dataset.rows, "columns": ["source"]}

    def run() -> dict[str, Any]:
        failed = execute(info, "tokenize", "0", _tokenize, args, state)
        assert failed is None, failed
        made = published(Path(info.staging), "tokenize", "0")
        assert made is not None
        rows = made.value["sources"]["rows"]
        return {"documents": made.shards[""][0]["rows"], "tokens": sum(row[2] for _, row in rows)}

    def before() -> None:
        shutil.rmtree(info.staging, ignore_errors=True)
        state.loaded.tokenizer.model._clear_cache()

    return Job(run=run, before=before, packages=["tokenizers", "pyarrow"])
