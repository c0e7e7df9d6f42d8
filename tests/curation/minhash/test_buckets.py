"""Candidate pairs: complete in small buckets, linear in large ones, stars for equal texts."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest

from curation.minhash.bands import (
    DOC,
    KEY,
    TAG,
    entries,
    first_of_equal,
    partition_count,
    partition_of,
)
from curation.minhash.buckets import SMALL, WINDOW, candidates, unique_pairs
from gristmill.text.minhash import Sketches

BANDS, ROWS = 4, 2


def sketches(texts: list[int], noise: float = 0.0, seed: int = 0) -> Sketches:
    """Documents of equal number have equal digests; their signatures may be near others'."""
    random = np.random.default_rng(seed)
    signatures = np.array(
        [np.random.default_rng(text).integers(0, 2**32, BANDS * ROWS) for text in texts], np.uint32
    )
    common = random.integers(0, 2**32, BANDS * ROWS).astype(np.uint32)
    if noise < 1:
        shared = np.array([np.random.default_rng(9999 + t).random(BANDS * ROWS) for t in texts])
        signatures = np.where(shared >= noise, common, signatures).astype(np.uint32)
    digests = np.array([[text * 7919 + 1, text] for text in texts], np.uint64)
    return Sketches(signatures, digests, np.ones(len(texts), np.int64))


def all_entries(made: Sketches) -> np.ndarray:
    return entries(made, np.arange(len(made.counts)), 0, BANDS, ROWS)


def as_set(pairs: np.ndarray) -> set[tuple[int, int]]:
    return {(a, b) for a, b in pairs.tolist()}


@pytest.mark.parametrize("seed", range(5))
def test_small_buckets_give_all_their_pairs(seed: int) -> None:
    made = sketches(list(range(30)), noise=0.8, seed=seed)
    rows = all_entries(made)
    buckets = defaultdict(set)
    for row in rows.tolist():
        if row[KEY] != row[TAG]:
            buckets[row[KEY]].add(row[DOC])
    small = [members for members in buckets.values() if len(members) <= SMALL]
    expected = {pair for members in small for pair in combinations(sorted(members), 2)}
    pairs, stars = candidates([rows])
    assert expected and expected <= as_set(pairs)
    assert not len(stars)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    order = np.lexsort((pairs[:, 0], pairs[:, 1]))
    assert (order == np.arange(len(pairs))).all()


def test_one_giant_bucket_costs_a_few_pairs_a_document() -> None:
    for count in (500, 2000):
        pairs, _ = candidates([all_entries(sketches(list(range(count)), noise=0.0))])
        assert count - 1 <= len(pairs) <= BANDS * (WINDOW + 1) * count
        reached = {0}
        for a, b in sorted(as_set(pairs)):
            if a in reached:
                reached.add(b)
        assert len(reached) == count  # nobody is left out


def test_identical_texts_are_one_star_and_no_pair() -> None:
    pairs, stars = candidates([all_entries(sketches([5] * 1000))])
    assert not len(pairs)
    assert as_set(stars) == {(0, n) for n in range(1, 1000)}


def test_only_the_first_of_equal_texts_meets_others() -> None:
    made = sketches([1, 2, 1, 2, 1], noise=0.0)  # equal in every band, two digests
    pairs, stars = candidates([all_entries(made)])
    assert as_set(pairs) == {(0, 1)}
    assert as_set(stars) == {(0, 2), (0, 4), (1, 3)}


def test_digests_must_agree_in_both_halves() -> None:
    made = sketches([1, 1])
    made.digests[1, 1] += np.uint64(1)
    _, stars = candidates([all_entries(made)])
    assert not len(stars)


def test_a_giant_bucket_in_chunks_leaves_nobody_out() -> None:
    rows = all_entries(sketches([*range(300), 7, 7], noise=0.0))
    rows = rows[np.argsort(rows[:, DOC], kind="stable")]
    pairs, stars = candidates(np.array_split(rows, 7))
    reached = {0}
    for a, b in sorted(as_set(pairs) | as_set(stars)):
        if a in reached:
            reached.add(b)
    assert reached == set(range(302))
    assert as_set(stars) == {(7, 300), (7, 301)}


def test_pairs_among_older_documents_are_left_out() -> None:
    pairs, stars = candidates([all_entries(sketches([1, 2, 1, 3, 1], noise=0.0))], older=3)
    assert as_set(pairs) == {(0, 3), (1, 3)}
    assert as_set(stars) == {(0, 4)}


def test_unique_pairs_beyond_32_bits() -> None:
    pairs = np.array([[5, 1 << 40], [3, 9], [3, 9], [2, 1 << 40]], np.uint64)
    assert unique_pairs(pairs).tolist() == [[3, 9], [2, 1 << 40], [5, 1 << 40]]


def test_first_of_equal() -> None:
    made = sketches([4, 5, 4, 6, 5, 4])
    made.counts[3] = 0
    made.digests[3] = made.digests[0]  # a text without words equals nothing
    assert first_of_equal(made.digests, made.counts).tolist() == [0, 1, 0, 3, 1, 0]
    assert first_of_equal(made.digests[:0], made.counts[:0]).tolist() == []


def test_partitions_depend_on_size_alone_and_share_evenly() -> None:
    assert partition_count(0, 14) == 1
    assert partition_count(10_000_000, 14) == partition_count(10_000_000, 14) > 50
    keys = np.random.default_rng(0).integers(0, 2**64, 50_000, dtype=np.uint64)
    sizes = np.bincount(partition_of(keys, 7), minlength=7)
    assert len(sizes) == 7 and sizes.min() > 6500
