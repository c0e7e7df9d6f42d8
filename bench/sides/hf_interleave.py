"""Hugging Face datasets' side: sources interleaved and packed on the fly.

In: Arrow folders of tokenised documents. Out: seconds a million tokens. Shown by: `python -m
bench.plan`. Limit: spared: tokenisation, shuffling, position ids. `lists` packs as the course and
the example scripts of transformers do; `arrays` does the same with numpy, which few scripts do.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from bench.sides.gristmill_plan import taking
from bench.worker import Job


def open_interleave(
    path: str, shares: dict[str, int], seq: int, batch: int, way: str, millions: int
) -> Job:
    """`interleave_datasets` by probabilities, `map` that joins and cuts, DataLoader."""
    import torch
    from datasets import interleave_datasets, load_from_disk
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)
    sources = [load_from_disk(str(Path(path) / name)) for name in shares]
    weights = [share / sum(shares.values()) for share in shares.values()]

    def lists(columns: dict[str, Any]) -> dict[str, Any]:
        joined = list(chain.from_iterable(columns["input_ids"]))
        cuts = range(0, len(joined) // seq * seq, seq)
        rows = [joined[cut : cut + seq] for cut in cuts]
        return {"input_ids": rows, "labels": [row.copy() for row in rows]}

    def arrays(columns: dict[str, Any]) -> dict[str, Any]:
        joined = np.concatenate(columns["input_ids"])
        rows = list(joined[: len(joined) // seq * seq].reshape(-1, seq))
        return {"input_ids": rows, "labels": [row.copy() for row in rows]}

    def batches() -> Iterator[Any]:
        streams = [source.to_iterable_dataset() for source in sources]
        if way == "arrays":
            streams = [stream.with_format("numpy") for stream in streams]
        mixed = interleave_datasets(
            streams, probabilities=weights, seed=0, stopping_strategy="first_exhausted"
        )
        packed = mixed.map(lists if way == "lists" else arrays, batched=True, batch_size=1000)
        # A format of torch, set here, would hand tensors to the map: 20 times slower again.
        return iter(DataLoader(packed, batch_size=batch, collate_fn=collate))

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        join = torch.tensor if way == "lists" else lambda some: torch.from_numpy(np.stack(some))
        return {name: join([row[name] for row in rows]) for name in ("input_ids", "labels")}

    return taking(batches, millions, ["datasets", "torch"])
