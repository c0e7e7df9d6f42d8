"""Blocks: exact shares at every prefix, and row numbers that neither miss nor repeat a row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.errors import RecipeError
from mixtures.plan.block import SLOTS, arrange, quantise, ranks, rows_of, slots_for

WEIGHTS = st.lists(st.floats(0, 1e6), min_size=1, max_size=40).filter(lambda w: sum(w) > 0)


@given(WEIGHTS, st.integers(1, 3000))
@settings(max_examples=200, deadline=None)
def test_every_prefix_is_within_one_row_of_its_share(weights: list[float], slots: int) -> None:
    counts = quantise(weights, slots)
    order = arrange(counts)
    taken = np.cumsum(order[:, None] == np.arange(len(counts)), axis=0)
    places = np.arange(1, slots + 1)[:, None]
    # In whole numbers: |taken - counts / slots * i| < 1.
    assert (np.abs(taken * slots - counts * places) < slots).all()
    assert (taken[-1] == counts).all()


def test_a_full_block_keeps_the_bound() -> None:
    """The largest block, forty sources of very different weights."""
    weights = np.random.default_rng(0).pareto(0.7, 40) + 1e-6
    counts = quantise(weights, SLOTS)
    order = arrange(counts)
    for source in range(40):
        taken = np.cumsum(order == source) * SLOTS
        assert np.abs(taken - counts[source] * np.arange(1, SLOTS + 1)).max() < SLOTS


@given(WEIGHTS, st.integers(1, 5000))
@settings(max_examples=200, deadline=None)
def test_slots_are_the_weights_to_one(weights: list[float], slots: int) -> None:
    counts, live = quantise(weights, slots), np.array(weights) > 0
    shares = np.array(weights) / np.sum(weights)
    assert counts.sum() == slots
    assert (counts[~live] == 0).all()
    if slots >= live.sum():
        assert (counts[live] > 0).all()
    # More than one off only where a slot went to a source that would have had none.
    crowded = live & (shares * slots < 1)
    assert (np.abs(counts - shares * slots) < 1 + crowded.sum()).all()


@given(st.lists(st.integers(0, 60), min_size=1, max_size=12).filter(any), st.integers(0, 900))
def test_row_numbers_count_each_source_without_gaps(counts: list[int], rows: int) -> None:
    order = arrange(counts)
    rank, slots = ranks(order), len(order)
    place = np.arange(rows)
    source, turn = order[place % slots], place // slots
    number = turn * np.array(counts)[source] + rank[place % slots]
    expected = rows_of(order, rows, len(counts))
    assert expected.sum() == rows
    for s in range(len(counts)):
        assert (number[source == s] == np.arange(expected[s])).all()


def test_one_source_and_no_rows() -> None:
    assert arrange([5]).tolist() == [0] * 5
    assert arrange([0, 3]).tolist() == [1] * 3
    assert arrange([2, 1, 1]).tolist() in ([0, 1, 2, 0], [0, 1, 0, 2])
    assert slots_for(10) == 10 and slots_for(10**9) == SLOTS
    assert rows_of(arrange([0, 0]), 0, 2).tolist() == [0, 0] and len(ranks(arrange([0]))) == 0


def test_the_order_is_fixed_for_good() -> None:
    """A resumed run must find the order that it began with: this one never changes."""
    assert arrange([5, 3, 2]).tolist() == arrange(np.array([5, 3, 2])).tolist()
    assert "".join(map(str, arrange([5, 3, 2]))) == "0102010210"


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1], [1, float("nan")], [float("inf")]])
def test_weights_that_mean_nothing_are_errors(weights: list[float]) -> None:
    with pytest.raises(RecipeError, match="must be numbers of 0 or more"):
        quantise(weights, 10)


def test_blocks_beyond_the_bounds_are_errors() -> None:
    with pytest.raises(RecipeError, match="0 or more of them"):
        arrange([1, -1])
    with pytest.raises(RecipeError, match="at most 65,536"):
        arrange([SLOTS, 1])
    with pytest.raises(RecipeError, match="without slots"):
        rows_of(arrange([0]), 3)
