"""The shards that one deduplication sees, and which of them holds which document.

In: the dataset to deduplicate and earlier signature datasets. Out: shards and document numbers.
Shown by: any recipe with `use: minhash_dedup` or `use: exact_dedup`. Limit: document numbers hold
within one run only.

Documents are numbered 0, 1, … through the shards of the earlier datasets, then those of the new
one; numbers never leave the run: outputs name documents by id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from curation.spill import I64, U64
from gristmill.store import Store

BLOCK = 1 << 17  # documents; their candidate pairs take 120 MB at the very most


@dataclass(frozen=True, slots=True)
class Shard:
    """One Parquet file of a dataset version."""

    path: Path
    rows: int
    dataset: str  # name@version


@dataclass(frozen=True)
class Corpus:
    """All shards in the order of document numbers; the first `older_shards` are signatures."""

    shards: tuple[Shard, ...]
    older_shards: int
    bases: I64  # [shards + 1]: number of each shard's first document
    blocks: I64  # [blocks + 1]: the same, with large shards cut: what a task holds at a time

    @property
    def older(self) -> int:
        """Documents of earlier datasets: those numbered below this."""
        return int(self.bases[self.older_shards])

    @property
    def new(self) -> int:
        return int(self.bases[-1]) - self.older

    def new_shards(self) -> range:
        return range(self.older_shards, len(self.shards))

    def span(self, shard: int) -> tuple[int, int]:
        """First and end document number of a shard."""
        return int(self.bases[shard]), int(self.bases[shard + 1])

    def blocks_of(self, shard: int) -> range:
        first, end = np.searchsorted(self.blocks, self.span(shard)).tolist()
        return range(first, end)


@cache
def open_corpus(store: str, source: str, against: tuple[str, ...]) -> Corpus:
    """The corpus of a run, from manifests alone. References name versions, so it cannot change."""
    shards = []
    for ref in (*against, source):
        dataset = Store(store)[ref]
        for entry in dataset.manifest["shards"]:
            shards.append(Shard(dataset.path / entry["file"], int(entry["rows"]), dataset.ref))
    last = len(Store(store)[source].manifest["shards"])
    bases = np.concatenate(([0], np.cumsum([shard.rows for shard in shards]))).astype(np.int64)
    starts = [np.arange(a, b, BLOCK) for a, b in pairwise(bases.tolist())]
    blocks = np.concatenate((*starts, bases[-1:])).astype(np.int64)
    return Corpus(tuple(shards), len(shards) - last, bases, blocks)


class Shards:
    """Which shard holds a document; `bases[i]` is the number of shard i's first document."""

    def __init__(self, bases: I64) -> None:
        self.bases = bases

    def of(self, docs: I64 | U64) -> I64:
        """The shard of each document."""
        return np.searchsorted(self.bases, docs.astype(np.int64), side="right") - 1

    def groups(self, docs: I64 | U64) -> Iterator[tuple[int, I64]]:
        """(shard, positions in `docs`) for each shard that holds some of them."""
        if not len(docs):
            return
        shard = self.of(docs)
        order = np.argsort(shard, kind="stable")
        numbers, starts = np.unique(shard[order], return_index=True)
        for number, part in zip(numbers, np.split(order, starts[1:]), strict=True):
            yield int(number), part
