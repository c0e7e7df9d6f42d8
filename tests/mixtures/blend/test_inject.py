"""Injections: where they go, and what fills their rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.errors import RecipeError
from mixtures.blend.inject import (
    InjectSpec,
    insertion_points,
    pack,
    place,
    positions_of,
    rows_in_spans,
    rows_needed,
)
from mixtures.blend.schedule import Span


def spec(**options: Any) -> InjectSpec:
    return InjectSpec.model_validate({"from": "tokens/facts", **options})


def lengths(*values: int) -> np.ndarray[Any, Any]:
    return np.array(values, np.int32)


def test_points_are_sorted_over_all_entries() -> None:
    entries = [spec(at=[0.5, 100]), spec(every=300, times=2), spec(at=0)]
    assert insertion_points(entries, 1000) == [
        (0, 2, 0), (100, 0, 0), (300, 1, 0), (500, 0, 1), (600, 1, 1),
    ]  # fmt: skip
    assert len(insertion_points([spec(every=0.1)], 1000)) == 9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either `at`"),
        ({"at": 5, "every": 5}, "give either `at`"),
        ({"at": 5, "times": 2}, "`times` goes with `every`"),
        ({"every": 600, "times": 2}, "fits 1 times into a budget of 1,000, asked for 2"),
        ({"every": 5, "times": 0}, "both must be above 0"),
        ({"at": 2000}, "token 2,000 of a budget of 1,000"),
    ],
)
def test_bad_points(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        insertion_points([spec(**options)], 1000)


def test_rows_begin_at_their_token_and_never_overlap() -> None:
    found = [Span(5, 10, 2, 0), Span(5, 20, 2, 1)]  # rows 0-9 of 10 tokens, 10-19 of 20
    facts = [lengths(10, 10, 10), lengths(4, 4)]
    points = [(20, 0, 0), (25, 1, 0), (140, 1, 1)]
    made = place(points, facts, found)
    assert [(i.first_row, i.rows, i.seq) for i in made] == [(2, 3, 10), (5, 1, 10), (12, 1, 20)]
    assert positions_of(made).tolist() == [2, 3, 4, 5, 12]
    assert rows_in_spans(positions_of(made), found) == [4, 1]


def test_rows_that_reach_into_shorter_ones_are_packed_for_those() -> None:
    (made,) = place([(70, 0, 0)], [lengths(*[10] * 6)], [Span(4, 20, 1, 0), Span(9, 10, 1, 0)])
    assert (made.first_row, made.rows, made.seq) == (3, 6, 10)


def test_what_does_not_fit_before_the_end_is_an_error() -> None:
    with pytest.raises(RecipeError, match=r"inject.0 at token 90: its 3 rows do not fit"):
        place([(90, 0, 0)], [lengths(10, 10, 10)], [Span(10, 10, 1, 0)])


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(1, 16))
def test_packing_holds_every_token_once_in_order(sizes: list[int], seq: int) -> None:
    made = pack(lengths(*sizes), seq)
    assert len(made.first) - 1 == rows_needed(lengths(*sizes), seq)
    pieces = list(
        zip(made.document.tolist(), made.offset.tolist(), made.length.tolist(), strict=True)
    )
    tokens = [(d, o + i) for d, o, n in pieces for i in range(n)]
    assert tokens == [(d, i) for d, size in enumerate(sizes) for i in range(size)]
    filled = [int(made.length[a:b].sum()) for a, b in zip(made.first, made.first[1:], strict=False)]
    assert all(0 < n <= seq for n in filled)
    assert all(n == size for d, o, n in pieces if (size := sizes[d]) <= seq)
