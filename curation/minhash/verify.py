"""Measure candidate pairs: first by signature, then exactly by shingle sets.

In: pairs of documents, signatures on disk, the texts of candidates. Out: similarity of each pair.
Shown by: `gristmill run` of any recipe with `use: minhash_dedup`.
Limit: a document of an earlier dataset has no text here, so its similarity stays the signature's
estimate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numba import njit

from curation.corpus import Shards
from curation.spill import F64, I64, U64


def prefilter(threshold: float, num_perm: int) -> float:
    """The estimate below which a pair is not worth measuring: four standard errors under it."""
    return threshold - 4 * math.sqrt(threshold * (1 - threshold) / num_perm)


@njit(cache=True, nogil=True, boundscheck=False)
def _agreement(first, at, second, bt, out):  # type: ignore[no-untyped-def]
    width = first.shape[1]
    for i in range(len(at)):
        a, b = first[at[i]], second[bt[i]]
        same = 0
        for k in range(width):
            same += a[k] == b[k]
        out[i] = same / width


@njit(cache=True, nogil=True, boundscheck=False)
def _jaccard(a_sets, a_from, a_to, b_sets, b_from, b_to, least, out):  # type: ignore[no-untyped-def]
    for p in range(len(out)):
        i, m, j, n = a_from[p], a_to[p], b_from[p], b_to[p]
        large, small = max(m - i, n - j), min(m - i, n - j)
        total = large + small
        out[p] = small / large if large > 0 else 0.0
        if out[p] < least:  # sizes alone rule it out; the bound is returned
            continue
        shared = 0
        while i < m and j < n:
            x, y = a_sets[i], b_sets[j]
            shared += x == y
            i += x <= y
            j += y <= x
        out[p] = shared / (total - shared)


@dataclass(frozen=True, slots=True)
class ShingleSets:
    """Shingle sets of some documents of a shard, on disk: `docs` sorted, sets one by one."""

    docs: U64
    bounds: I64
    values: U64

    @classmethod
    def open(cls, folder: Path) -> ShingleSets:
        load = lambda name: np.load(folder / f"{name}.npy", mmap_mode="r")  # noqa: E731
        return cls(load("docs"), load("bounds"), load("values"))


def estimate(pairs: U64, shards: Shards, signatures: Callable[[int], np.ndarray]) -> F64:
    """Share of equal signature values of each pair (a, b): the estimate of its Jaccard."""
    return _by_shards(
        pairs,
        shards,
        signatures,
        lambda one, at, two, bt, base_one, base_two: _agree(one, at - base_one, two, bt - base_two),
    )


def _agree(one: np.ndarray, at: I64, two: np.ndarray, bt: I64) -> F64:
    out = np.empty(len(at))
    _agreement(one, at, two, bt, out)
    return out


def exact(
    pairs: U64, shards: Shards, sets: Callable[[int], ShingleSets], least: float = 0.0
) -> F64:
    """Jaccard of the unique shingle sets of each pair; below `least`, an upper bound may stand."""

    def measure(
        one: ShingleSets, at: I64, two: ShingleSets, bt: I64, base_one: int, base_two: int
    ) -> F64:
        i = np.searchsorted(one.docs, at.astype(np.uint64))
        j = np.searchsorted(two.docs, bt.astype(np.uint64))
        out = np.empty(len(at))
        _jaccard(
            one.values, one.bounds[i], one.bounds[i + 1],
            two.values, two.bounds[j], two.bounds[j + 1], least, out,
        )  # fmt: skip
        return out

    return _by_shards(pairs, shards, sets, measure)


def _by_shards(
    pairs: U64, shards: Shards, opened: Callable[[int], object], measure: Callable[..., F64]
) -> F64:
    """Call `measure` once for each two shards whose documents meet, whatever the pairs' order."""
    out = np.empty(len(pairs))
    held = lru_cache(maxsize=64)(opened)  # each holds a few open maps
    for first, of_first in shards.groups(pairs[:, 0]):
        for second, within in shards.groups(pairs[of_first, 1]):
            chosen = of_first[within]
            at, bt = pairs[chosen, 0].astype(np.int64), pairs[chosen, 1].astype(np.int64)
            bases = int(shards.bases[first]), int(shards.bases[second])
            out[chosen] = measure(held(first), at, held(second), bt, *bases)
    return out
