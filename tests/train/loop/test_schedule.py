"""The learning rate's curve: shapes, points, and what cannot be."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from gristmill.errors import RecipeError
from train.loop.places import Every, points
from train.loop.schedule import multiplier
from train.spec import Schedule

SHAPES: dict[str, list[float]] = {  # at 0, 5, 10, 55, 80, 90 and 100% of the stage
    "constant": [0, 0.5, 1, 1, 1, 1, 1],
    "linear": [0, 0.5, 1, 0.6, 1 - 0.8 * 70 / 90, 1 - 0.8 * 80 / 90, 0.2],
    "wsd": [0, 0.5, 1, 1, 1, 0.6, 0.2],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(shape: str) -> None:
    spec = Schedule(shape=shape, warmup=0.1, end=0.2, decay=0.2)  # type: ignore[arg-type]
    found = [multiplier(spec, 1000, at * 10) for at in (0, 5, 10, 55, 80, 90, 100)]
    assert found == pytest.approx(SHAPES[shape])


def test_cosine_is_the_formula() -> None:
    spec = Schedule(shape="cosine", warmup="200", end=0.1)
    for at in (200, 300, 650, 1000):
        part = (at - 200) / 800
        expected = 0.1 + 0.9 * (1 + math.cos(math.pi * part)) / 2
        assert multiplier(spec, 1000, at) == pytest.approx(expected)


@pytest.mark.parametrize("interp, quarter", [("linear", 0.25), ("cosine", 0.1464466)])
def test_points(interp: Any, quarter: float) -> None:
    spec = Schedule(points=((0.1, 0), ("500", 1), (1, 0.5)), interp=interp)
    found = [multiplier(spec, 1000, at) for at in (0, 100, 200, 500, 1000, 2000)]
    assert found == pytest.approx([0, 0, quarter, 1, 0.5, 0.5])


@pytest.mark.parametrize(
    "given, message",
    [
        ({"shape": "wsd", "warmup": "600", "decay": 0.5}, "warmup 600 and decay 500 are more than"),
        ({"warmup": 2000}, "schedule.warmup is 2000, which is token 2,000 of a budget of 1,000"),
        ({"points": [[0.5, 1], [0.5, 0]]}, r"points.1 is at 0.5, at or before the one above it"),
    ],
)
def test_what_does_not_fit_the_stage_is_an_error(given: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        multiplier(Schedule.model_validate(given), 1000, 0)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"shape": "wsd", "warmup": 0.9, "decay": 0.2}, "are more than the stage"),
        ({"points": [[0, 1]], "end": 0.1}, "write one of them"),
        ({"points": [[0, -1]]}, "0 or more"),
        ({"warmup": "soon"}, "write a number of tokens"),
    ],
)
def test_what_cannot_be_is_an_error_at_once(given: dict[str, Any], message: str) -> None:
    with pytest.raises((ValidationError, RecipeError), match=message):
        Schedule.model_validate(given)


def test_places_are_the_ends_of_steps() -> None:
    every = Every(0.25, "key", 10, lambda step: step * 10)
    assert [step for step in range(11) if every.passed(step)] == [3, 5, 8, 10]
    often = Every("1", "key", 4, lambda step: step * 10)
    assert [step for step in range(5) if often.passed(step)] == [4]  # 1 is the whole stage
    assert points(3, 0.25, "key", 10, lambda step: step * 10) == [5, 7, 10]
    assert points(9, 0.25, "key", 10, lambda step: step * 10) == [2, 5, 7, 10]
