"""Clusters: every drop has its own evidence, the best survives, components are capped."""

from __future__ import annotations

import numpy as np
import pytest

from curation.minhash.clusters import (
    OLDER,
    OPEN,
    SURVIVES,
    State,
    drop_measured,
    join_components,
    settle,
    settle_by_edges,
)


def resolve(
    similarity: np.ndarray,
    edges: np.ndarray,
    threshold: float = 0.7,
    rank: list[int] | None = None,
    cap: int = 10**6,
    rounds: int = 8,
    partner: list[int] | None = None,
) -> tuple[State, int, int]:
    """Settle as the phases do, measuring from a full matrix; (state, measured, refused)."""
    count = len(similarity)
    state = State(
        partner=np.array(partner or [OPEN] * count),
        similarity=np.full(count, np.nan),
        component=np.zeros(count, np.int64),
        rank=np.array(rank or [0] * count),
        best=np.arange(count),
    )
    sims = similarity[edges[:, 0], edges[:, 1]]
    order = np.lexsort((edges[:, 1], edges[:, 0], -sims))
    edges, sims = edges[order], sims[order]
    scratch = np.empty((3, count), np.int64)
    refused = join_components(edges, state, cap, scratch)
    measured = 0
    pairs = settle(edges, sims, state, scratch)
    for _ in range(rounds):
        if not len(pairs):
            break
        measured += len(pairs)
        drop_measured(pairs, similarity[pairs[:, 0], pairs[:, 1]], threshold, state)
        pairs = settle(edges, sims, state, scratch)
    settle_by_edges(edges, sims, state)
    return state, measured, refused


def edges_of(similarity: np.ndarray, threshold: float, chance: float, seed: int) -> np.ndarray:
    """Pairs at or above the threshold, each found with this chance, as LSH would."""
    a, b = np.nonzero(np.triu(similarity >= threshold, 1))
    found = np.random.default_rng(seed).random(len(a)) < chance
    return np.stack((a[found], b[found]), axis=1)


def matrix(points: np.ndarray) -> np.ndarray:
    """Points on a line as similarities: 1 at distance 0, falling off linearly."""
    return 1 - np.abs(points[:, None] - points[None])


def test_a_chain_does_not_merge_its_ends() -> None:
    similarity = matrix(np.array([0.0, 0.2, 0.4, 0.6]))
    edges = np.array([[0, 1], [1, 2], [2, 3]])
    state, *_ = resolve(similarity, edges)
    assert state.partner.tolist() == [SURVIVES, 0, SURVIVES, 2]


def test_the_best_of_a_component_survives_and_is_measured_with_all() -> None:
    similarity = np.full((5, 5), 0.9)
    edges = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    state, measured, _ = resolve(similarity, edges, rank=[0, 0, 0, -1, 0])
    assert state.partner.tolist() == [3, 3, 3, SURVIVES, 3]
    assert measured == 2  # 2 and 4 have an edge to 3 already
    assert (state.similarity[[0, 1, 2, 4]] == 0.9).all()


def test_one_dense_group_has_one_survivor_even_if_few_pairs_were_found() -> None:
    count = 400
    chain = np.stack((np.arange(count - 1), np.arange(1, count)), axis=1)
    state, measured, _ = resolve(np.full((count, count), 0.95), chain)
    assert (state.partner == SURVIVES).sum() == 1
    assert measured <= count


@pytest.mark.parametrize("seed", range(20))
def test_every_drop_is_measured_and_no_found_pair_survives_twice(seed: int) -> None:
    random = np.random.default_rng(seed)
    similarity = matrix(np.sort(random.random(120) * 6))
    edges = edges_of(similarity, 0.7, 0.6, seed)
    state, measured, _ = resolve(similarity, edges, rounds=int(random.integers(0, 9)))
    dropped = np.flatnonzero(state.partner >= 0)
    for text in dropped:
        keeper = state.partner[text]
        assert state.partner[keeper] == SURVIVES
        assert state.similarity[text] == similarity[keeper, text] >= 0.7
    survivors = set(np.flatnonzero(state.partner < 0).tolist())
    assert not [1 for a, b in edges.tolist() if a in survivors and b in survivors]
    assert measured <= 8 * 120


def test_rounds_after_the_last_are_settled_by_edges() -> None:
    similarity = matrix(np.arange(50) * 0.15)
    edges = np.stack((np.arange(49), np.arange(1, 50)), axis=1)
    state, *_ = resolve(similarity, edges, rounds=0)
    assert (state.partner != OPEN).all()
    assert all(similarity[t, p] >= 0.7 for t, p in enumerate(state.partner) if p >= 0)


def test_the_cap_holds_components_apart() -> None:
    count = 30
    similarity = np.full((count, count), 0.9)
    edges = np.stack(np.triu_indices(count, 1), axis=1)
    state, _, refused = resolve(similarity, edges, cap=4)
    _, sizes = np.unique(state.component, return_counts=True)
    assert sizes.max() == 4 and refused > 0
    assert (state.partner < 0).sum() == len(sizes)


def test_what_older_documents_cover_takes_no_part() -> None:
    similarity = np.full((3, 3), 0.9)
    edges = np.array([[0, 1], [1, 2]])
    state, *_ = resolve(similarity, edges, partner=[OPEN, OLDER - 17, OPEN])
    assert state.partner.tolist() == [OPEN, OLDER - 17, OPEN]  # 0 and 2 meet nobody else


def test_most_similar_pairs_join_first_under_the_cap() -> None:
    similarity = np.full((4, 4), 0.75)
    similarity[1, 2] = similarity[2, 1] = 0.99
    edges = np.array([[0, 1], [1, 2], [2, 3]])
    state, *_ = resolve(similarity, edges, cap=2)
    assert state.component[1] == state.component[2]
    assert len(set(state.component.tolist())) == 3
