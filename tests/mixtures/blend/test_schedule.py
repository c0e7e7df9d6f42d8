"""Schedules: amounts, positions, stages, ramps and shapes as whole optimiser steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.errors import RecipeError
from mixtures.blend.schedule import (
    RAMP_STEPS,
    ShapeSpec,
    Span,
    StageSpec,
    amount,
    budget_tokens,
    position,
    spans,
)
from mixtures.blend.segments import segments


def stages(*entries: dict[str, Any]) -> list[StageSpec]:
    return [StageSpec.model_validate({"at": 0, "weights": "natural", **e}) for e in entries]


def shape(seq: int = 8, batch: int = 4, at: float = 0) -> ShapeSpec:
    return ShapeSpec(seq=seq, batch=batch, at=at)


@pytest.mark.parametrize(
    ("written", "tokens"),
    [(2_000_000, 2e6), ("2_000_000", 2e6), ("2e6", 2e6), ("2M", 2e6), ("1.5b", 1.5e9), ("3 k", 3e3),
     (2e9, 2e9), ("1T", 1e12), (".5M", 5e5)],
)  # fmt: skip
def test_amounts(written: Any, tokens: float) -> None:
    assert amount(written, "budget") == tokens


@pytest.mark.parametrize("written", ["much", "2 MB", -1, True, None, "", [1]])
def test_what_is_no_amount(written: Any) -> None:
    with pytest.raises(RecipeError, match=r"budget is .*: write a number of tokens"):
        amount(written, "budget")


def test_a_budget_and_positions_within_it() -> None:
    assert budget_tokens("1k") == 1000
    assert [position(at, 1000, "at") for at in (0, 0.25, 400, "0.4k", 0.999)] == [
        0, 250, 400, 400, 999,
    ]  # fmt: skip
    with pytest.raises(RecipeError, match="at least one token"):
        budget_tokens(0)
    with pytest.raises(RecipeError, match=r"token 1,000 of a budget of 1,000"):
        position(1000, 1000, "at")


def test_one_stage_is_one_span_of_whole_steps() -> None:
    assert spans(1000, stages({}), [shape()]) == [Span(31, 8, 4, 0)]


def test_stages_and_shapes_cut_at_the_nearest_step() -> None:
    found = spans(320, stages({}, {"at": 0.5}), [shape(), shape(16, 2, at=100)])
    # 100 is nearer to 96 = 3 steps than to 128; then steps of 32 tokens again
    assert found == [Span(3, 8, 4, 0), Span(2, 16, 2, 0), Span(5, 16, 2, 1)]


def test_a_ramp_is_a_staircase_between_two_stages() -> None:
    found = spans(3200, stages({}, {"at": 0.5, "ramp": 0.25}), [shape()])
    ramp = [span for span in found if span.ramp < 1]
    assert len(ramp) == RAMP_STEPS and {span.stage for span in ramp} == {1}
    assert sum(span.tokens for span in ramp) == pytest.approx(800, abs=32)
    weights = [np.array([1.0, 0.0]), np.array([0.0, 1.0])]
    steps = [segment.weights[1] for segment in segments(found, weights)]
    assert steps[0] == 0 and steps[-1] == 1 and np.diff(steps).min() >= 0
    assert np.diff(steps).max() <= 1.01 / RAMP_STEPS


@pytest.mark.parametrize(
    ("entries", "shapes", "message"),
    [
        ([{}, {"at": 0.5}, {"at": 0.4}], [shape()], "stages.2.at is 0.4, at or before"),
        ([{"at": 0.1}], [shape()], r"stages.0.at is 0.1: the first one begins at 0"),
        ([{"ramp": 0.1}], [shape()], "nothing comes before the first stage"),
        ([{}, {"at": 0.5, "ramp": 0.6}], [shape()], "stages.1.ramp is 0.6, 600 tokens"),
        ([{}, {"at": 0.999}], [shape()], "stages.1 at 0.999 is shorter than an optimiser step"),
        ([{}], [shape(0)], "shape.0.seq is 0"),
        ([{}], [shape(8, -1)], "shape.0.batch is -1"),
        ([{}], [], "shape is empty"),
        ([{}], [shape(64, 64)], r"budget 1,000: less than one optimiser step \(64 rows x 64"),
        ([{}], [shape(), shape(9, 9, at=0.99)], "shape.1 at 0.99 is shorter than one of its"),
    ],
)
def test_bad_schedules(entries: list[Any], shapes: list[ShapeSpec], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        spans(1000, stages(*entries), shapes)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2_000, 200_000),
    st.integers(1, 9),
    st.integers(1, 7),
    st.floats(0.2, 0.8),
    st.floats(0, 0.15),
)
def test_the_budget_is_spent_to_the_last_whole_step(
    budget: int, seq: int, batch: int, at: float, ramp: float
) -> None:
    found = spans(budget, stages({}, {"at": at, "ramp": ramp}), [shape(seq, batch)])
    spent = sum(span.tokens for span in found)
    assert 0 <= budget - spent < seq * batch
    before = sum(span.tokens for span in found if span.stage == 0)
    assert abs(before - at * budget) <= seq * batch


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(1, 6), st.integers(0, 99))
def test_short_spans_make_up_for_what_rounding_took(
    steps: list[int], sources: int, seed: int
) -> None:
    weights = [np.random.default_rng(seed).dirichlet(np.ones(sources))]
    made = segments([Span(n, 8, 1, 0) for n in steps], weights)
    given_rows = np.cumsum([segment.counts for segment in made], axis=0)
    due = np.cumsum(steps)[:, None] * weights[0]
    assert (given_rows.sum(axis=1) == np.cumsum(steps)).all()
    assert np.abs(given_rows - due)[:-1].max(initial=0) < 1
    if sum(steps) >= 2 * sources:
        assert given_rows[-1].min() > 0 and np.abs(given_rows - due)[-1].max() < sources


def test_a_source_whose_weight_ends_leaves_rows_to_the_others() -> None:
    weights = [np.array([0.25, 0.25, 0.25, 0.25]), np.array([0.5, 0.5, 0.0, 0.0])]
    made = segments([Span(2, 8, 1, 0), *[Span(1, 8, 1, 1)] * 4], weights)
    assert [sum(segment.counts) for segment in made] == [2, 1, 1, 1, 1]
    assert all(segment.counts[2] == segment.counts[3] == 0 for segment in made[1:])


def test_injected_rows_stand_outside_the_blocks() -> None:
    made = segments([Span(10, 8, 1, 0), Span(10, 8, 1, 0)], [np.array([0.5, 0.5, 0.0])], [4, 0])
    assert [sum(segment.counts) for segment in made] == [6, 10]
    assert [segment.counts[2] for segment in made] == [0, 0]
