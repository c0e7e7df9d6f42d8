"""First fit: every sequence once, none over another, few places empty."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from train.data.packing import WIDTHS, layout


@given(some.lists(some.integers(0, 60), min_size=1, max_size=40))
def test_sequences_fill_places_of_their_own(lengths: list[int]) -> None:
    at = layout(lengths)
    taken = np.zeros((at.rows, at.width), np.int64)
    for size, row, column in zip(lengths, at.row, at.column, strict=True):
        assert column + size <= at.width
        taken[row, column : column + size] += 1
    assert taken.max(initial=0) <= 1 and taken.sum() == sum(lengths)
    assert at.width <= max(1, max(lengths)) * WIDTHS[-1]


def test_packing_leaves_less_empty_than_a_sequence_a_row() -> None:
    lengths = np.random.default_rng(0).lognormal(4, 0.7, 64).astype(int) + 4
    at = layout(lengths)
    assert lengths.sum() / (at.rows * at.width) > 0.95
    assert lengths.sum() / (len(lengths) * lengths.max()) < 0.5
