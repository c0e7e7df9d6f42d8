"""Draws: pure functions of seed and key."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.rng import derive_seed, keyed_uniform, mix64, permutation


def test_seeds_differ_by_every_name_and_by_where_names_are_cut() -> None:
    seeds = [
        *(derive_seed(0), derive_seed(1), derive_seed(0, "a"), derive_seed(0, "a", "b")),
        *(derive_seed(0, "b", "a"), derive_seed(0, "ab"), derive_seed(0, "a", 1)),
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 1 << 63 for seed in seeds)
    assert derive_seed(7, "sample", "row") == derive_seed(7, "sample", "row")


def test_seeds_are_the_same_on_every_machine_and_release() -> None:
    assert derive_seed(0, "sample") == 7060231519982395329


def test_mixing_is_a_bijection_with_known_values() -> None:
    # splitmix64 from state 0: its first outputs (Vigna's reference implementation)
    assert int(mix64(np.array([0], np.uint64))[0]) == 0xE220A8397B1DCDAF
    assert int(mix64(np.array([0x9E3779B97F4A7C15], np.uint64))[0]) == 0x6E789E6AA1B965F4
    values = mix64(np.arange(100_000, dtype=np.uint64))
    assert len(np.unique(values)) == 100_000


def test_uniform_draws_are_uniform_and_follow_their_keys() -> None:
    keys = np.arange(50_000, dtype=np.uint64)
    draws = keyed_uniform(3, keys)
    assert draws.min() >= 0 and draws.max() < 1
    assert abs(draws.mean() - 0.5) < 0.01 and abs(draws.var() - 1 / 12) < 0.002
    assert np.array_equal(keyed_uniform(3, keys[::-1]), draws[::-1])
    assert abs(np.corrcoef(draws, keyed_uniform(4, keys))[0, 1]) < 0.02


@given(st.integers(1, 500), st.integers(0, 2**63 - 1))
def test_permutations_are_bijections(size: int, seed: int) -> None:
    order = permutation(seed, size, np.arange(size))
    assert sorted(order.tolist()) == list(range(size))
    half = np.arange(0, size, 2)
    assert np.array_equal(permutation(seed, size, half), order[half])


def test_permutations_differ_by_seed_and_scatter() -> None:
    index = np.arange(10_000)
    one, two = permutation(1, 10_000, index), permutation(2, 10_000, index)
    assert (one == two).mean() < 0.01 and (one == index).mean() < 0.01
    assert abs(np.corrcoef(index, one)[0, 1]) < 0.05


@pytest.mark.parametrize(("size", "index"), [(0, 0), (-1, 0), (5, 5)])
def test_what_no_permutation_has(size: int, index: int) -> None:
    with pytest.raises(ValueError):
        permutation(0, size, np.array([index]))
