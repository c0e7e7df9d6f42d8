"""Megatron Core's blended index, and the route of nanotron's, on the documents of the mixture.

In: `.bin/.idx` or `.ds` files, one folder a source. Out: seconds a million tokens. Shown by:
`python -m bench.plan`. Limit: nanotron's own module is in none of its releases (0.4 holds no
`nanotron.data`); what is measured is what it is made of: an index of (source, window), datatrove's
DatatroveFolderDataset, and a collator that stacks, shifts and counts positions.
Spared both: building the index; nanotron's also: position ids that begin again, masked labels.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from bench.sides.gristmill_plan import taking
from bench.worker import Job


class _Tokenizer:
    """What Megatron asks a tokenizer for."""

    vocab_size, eod, pad = 50_000, 0, 50_001
    unique_identifiers: dict[str, Any] = {"class": "bench"}  # noqa: RUF012


def open_megatron(
    path: str, shares: dict[str, int], seq: int, batch: int, resets: bool, millions: int
) -> Job:
    """BlendedDataset of GPTDatasets; `resets`: positions begin again and labels are masked."""
    from megatron.core.datasets.blended_dataset import BlendedDataset
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.utils import Split

    torch.set_num_threads(1)
    prefixes = {name: str(_only(Path(path) / name, ".bin").with_suffix("")) for name in shares}
    config = GPTDatasetConfig(
        random_seed=0,
        sequence_length=seq,
        blend=(list(prefixes.values()), [float(share) for share in shares.values()]),
        split="1,0,0",
        path_to_cache=str(Path(path) / f"cache-{resets}"),
        tokenizer=_Tokenizer(),
        reset_position_ids=resets,
        reset_attention_mask=False,
        eod_mask_loss=resets,
        create_attention_mask=False,
    )
    parts = []
    for prefix in prefixes.values():
        files = GPTDataset.build_low_level_dataset(prefix, config)
        documents = np.arange(files.document_indices.shape[0] - 1, dtype=np.int32)
        parts.append(GPTDataset(files, prefix, documents, None, Split.train, config))
    size = int(min(len(p) / s for p, s in zip(parts, shares.values(), strict=True)))
    whole = size * sum(shares.values()) * 98 // 100
    uncached = copy.copy(config)
    uncached.path_to_cache = None  # else it asks torch.distributed for its rank
    blended = BlendedDataset(parts, list(map(float, shares.values())), whole, uncached)
    return taking(
        lambda: iter(DataLoader(blended, batch_size=batch)), millions, ["megatron-core", "torch"]
    )


class _Indexed(Dataset):  # type: ignore[misc]
    """Item i is the window that two arrays name."""

    def __init__(self, sources: list[Any], of: Any, window: Any) -> None:
        self.sources, self.of, self.window = sources, of, window

    def __len__(self) -> int:
        return len(self.of)

    def __getitem__(self, item: int) -> Any:
        return self.sources[self.of[item]][self.window[item]]


def open_nanotron(path: str, shares: dict[str, int], seq: int, batch: int, millions: int) -> Job:
    """Windows in a shuffled order that follows the shares, as tensors of a model's arguments."""
    from datatrove.utils.dataset import DatatroveFolderDataset

    torch.set_num_threads(1)
    sources = [
        DatatroveFolderDataset(str(Path(path) / name), seq, token_size=2, shuffle=True)
        for name in shares
    ]
    windows = [np.arange(len(source)) for source in sources]
    order = np.random.default_rng(0).permutation(sum(map(len, windows)))
    of = np.repeat(np.arange(len(sources)), [len(w) for w in windows])[order]
    indexed = _Indexed(sources, of, np.concatenate(windows)[order])

    def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
        ids = np.vstack([item["input_ids"] for item in items])
        arrays = {
            "input_ids": ids[:, :-1],
            "position_ids": np.arange(seq)[None, :].repeat(len(items), axis=0),
            "label_ids": ids[:, 1:],
            "label_mask": np.ones((len(items), seq), np.bool_),
        }
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def batches() -> Iterator[Any]:
        return iter(DataLoader(indexed, batch_size=batch, collate_fn=collate))

    return taking(batches, millions, ["datatrove", "torch"])


def _only(folder: Path, suffix: str) -> Path:
    found = sorted(folder.glob(f"*{suffix}"))
    if len(found) != 1:
        raise SystemExit(f"{len(found)} files *{suffix} in {folder}; this side reads one a source")
    return found[0]
