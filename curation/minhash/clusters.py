"""Clusters: who survives, and who is dropped for whom. Every drop rests on a measured pair.

In: verified edges, most similar first; a rank for each text. Out: for each text its survivor, or
none.
Shown by: `gristmill run` of any recipe with `use: minhash_dedup`.
Limit: a component that is no real cluster is taken apart in a few rounds; what is left after them
is settled by its edges alone and may keep a text that a further measurement would have dropped.

1. Kruskal: edges join texts into components, most similar first, none above `cap` texts.
2. The best text of a component (by the survivor policy) survives. What has an edge to it is dropped
   for it; what has none is measured against it, and is dropped if similar enough.
3. The rest, chained in by others, starts again at 2 on its own edges.

So a chain A ~ B ~ C never drops C for A unless A and C were measured and are similar.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from curation.spill import I64

OPEN, SURVIVES = -1, -2
OLDER = -3  # OLDER - d: dropped for document d of an earlier dataset
F64 = npt.NDArray[np.float64]


@dataclass(slots=True, kw_only=True)
class State:
    """Arrays over texts (one entry a group of equal texts); plain arrays or memory maps."""

    partner: I64  # OPEN, SURVIVES, the text it is dropped for, or OLDER - document
    similarity: F64  # measured with the partner
    component: I64  # from Kruskal; -1 before it
    rank: I64  # smaller is better
    best: I64  # ties in rank: the document that stands for the text, smaller is better


@njit(cache=True, nogil=True, boundscheck=False)
def _find(parent, x):  # type: ignore[no-untyped-def]
    while parent[x] != x:
        parent[x] = parent[parent[x]]
        x = parent[x]
    return x


@njit(cache=True, nogil=True, boundscheck=False)
def _join(ends, partner, component, parent, size, cap):  # type: ignore[no-untyped-def]
    """Union of open texts along edges in their order; returns how many edges the cap refused."""
    refused = 0
    for x in range(len(parent)):
        parent[x] = x
        size[x] = 1
    for e in range(len(ends)):
        a, b = ends[e, 0], ends[e, 1]
        if partner[a] != OPEN or partner[b] != OPEN or component[a] != component[b]:
            continue
        a, b = _find(parent, a), _find(parent, b)
        if a == b:
            continue
        if size[a] + size[b] > cap:
            refused += 1
            continue
        low, high = min(a, b), max(a, b)
        parent[high] = low
        size[low] += size[high]
    for x in range(len(parent)):
        parent[x] = _find(parent, x)
    return refused


@njit(cache=True, nogil=True, boundscheck=False)
def _lead(parent, size, partner, rank, best, leader):  # type: ignore[no-untyped-def]
    """leader[root] = best open text of each component of two or more; how many there are."""
    found = 0
    for x in range(len(parent)):
        leader[x] = -1
    for x in range(len(parent)):
        root = parent[x]
        if size[root] < 2 or partner[x] != OPEN:
            continue
        held = leader[root]
        if held < 0:
            found += 1
            leader[root] = x
        elif rank[x] < rank[held] or (rank[x] == rank[held] and best[x] < best[held]):
            leader[root] = x
    return found


@njit(cache=True, nogil=True, boundscheck=False)
def _drop_neighbours(ends, sims, parent, leader, partner, similarity):  # type: ignore[no-untyped-def]
    for e in range(len(ends)):
        a, b = ends[e, 0], ends[e, 1]
        if parent[a] != parent[b]:
            continue
        if leader[parent[a]] == b:
            a, b = b, a
        if leader[parent[a]] == a and partner[b] == OPEN:
            partner[b] = a
            similarity[b] = sims[e]


@njit(cache=True, nogil=True, boundscheck=False)
def _unmeasured(parent, leader, partner, out):  # type: ignore[no-untyped-def]
    """Pairs (leader, open text) of its component; leaders are settled on the way."""
    made = 0
    for x in range(len(parent)):
        chief = leader[parent[x]]
        if chief < 0:
            continue
        if chief == x:
            partner[x] = SURVIVES
        elif partner[x] == OPEN:
            if made < len(out):
                out[made, 0] = chief
                out[made, 1] = x
            made += 1
    return made


def join_components(ends: I64, state: State, cap: int, scratch: I64) -> int:
    """Set `state.component` by Kruskal over edges [e, 2] in their order; edges refused by cap."""
    parent, size = scratch[0], scratch[1]
    state.component[:] = 0
    refused = _join(ends, state.partner, state.component, parent, size, cap)
    state.component[:] = parent
    return int(refused)


def settle(ends: I64, sims: F64, state: State, scratch: I64) -> I64:
    """One round; returns the pairs [p, 2] (survivor, text) to measure before the next. Empty: done.

    `scratch` is int64 [3, texts], a memory map where the corpus is large.
    """
    parent, size, leader = scratch[0], scratch[1], scratch[2]
    while True:
        _join(ends, state.partner, state.component, parent, size, len(parent))
        if not _lead(parent, size, state.partner, state.rank, state.best, leader):
            return np.empty((0, 2), np.int64)
        _drop_neighbours(ends, sims, parent, leader, state.partner, state.similarity)
        needed = _unmeasured(parent, leader, state.partner, np.empty((0, 2), np.int64))
        pairs = np.empty((needed, 2), np.int64)
        _unmeasured(parent, leader, state.partner, pairs)
        if needed:
            return pairs


def drop_measured(pairs: I64, sims: F64, threshold: float, state: State) -> None:
    """Drop the second text of each pair whose measured similarity reaches the threshold."""
    near = sims >= threshold
    state.partner[pairs[near, 1]] = pairs[near, 0]
    state.similarity[pairs[near, 1]] = sims[near]


@njit(cache=True, nogil=True, boundscheck=False)
def _live(ends, partner, component, out):  # type: ignore[no-untyped-def]
    """Positions of edges between open texts of one component; returns how many."""
    made = 0
    for e in range(len(ends)):
        a, b = ends[e, 0], ends[e, 1]
        if partner[a] == OPEN and partner[b] == OPEN and component[a] == component[b]:
            if made < len(out):
                out[made] = e
            made += 1
    return made


@njit(cache=True, nogil=True, boundscheck=False)
def _take_best(ends, sims, partner, similarity):  # type: ignore[no-untyped-def]
    for e in range(len(ends)):
        a, b = ends[e, 0], ends[e, 1]
        if partner[a] == OPEN:
            partner[a] = SURVIVES
        if partner[a] == SURVIVES and partner[b] == OPEN:
            partner[b] = a
            similarity[b] = sims[e]


def settle_by_edges(ends: I64, sims: F64, state: State) -> None:
    """The end: best text first, each still open one survives and drops its open neighbours."""
    chosen = np.empty(_live(ends, state.partner, state.component, np.empty(0, np.int64)), np.int64)
    _live(ends, state.partner, state.component, chosen)
    both = np.concatenate((ends[chosen], ends[chosen][:, ::-1]))
    weights = np.concatenate((sims[chosen], sims[chosen]))
    order = np.lexsort((both[:, 1], state.best[both[:, 0]], state.rank[both[:, 0]]))
    _take_best(both[order], weights[order], state.partner, state.similarity)
