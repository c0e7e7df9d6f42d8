"""Weights: the four heuristics and given ones, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from gristmill.errors import RecipeError
from mixtures.weights.heuristics import (
    controls,
    given,
    natural,
    temperature,
    uniform,
    unimax,
    weights_by,
)

SIZES = [900.0, 90.0, 10.0]


def test_temperature_lies_between_natural_and_uniform() -> None:
    assert natural(SIZES).tolist() == [0.9, 0.09, 0.01]
    assert np.allclose(temperature(SIZES, 1), natural(SIZES))
    assert np.allclose(temperature(SIZES, 0), uniform(SIZES))
    assert np.allclose(temperature([400, 100], 0.5), [2 / 3, 1 / 3])


def test_unimax_spends_the_whole_budget_when_a_tiny_source_is_capped() -> None:
    # 300 each would be even; the last has 4 x 10, and its rest goes to the others in equal parts
    spent = unimax([900, 400, 10], 900, 4) * 900
    assert np.allclose(spent, [430, 430, 40])
    # in the order large to small, the tiny source's rest would be lost or fall to the last one
    assert np.allclose(unimax([10, 400, 900], 900, 4) * 900, [40, 430, 430])


@hypothesis_given(
    st.lists(st.integers(1, 10**12), min_size=1, max_size=12),
    st.floats(0.001, 1),
    st.floats(1, 20),
)
def test_unimax_is_even_below_the_caps(sizes: list[int], part: float, epochs: float) -> None:
    tokens = np.array(sizes, float)
    budget = tokens.sum() * epochs * part
    taken = unimax(tokens, budget, epochs) * budget
    assert np.isclose(taken.sum(), budget)
    assert (taken <= epochs * tokens * (1 + 1e-9)).all()
    free = taken < epochs * tokens * (1 - 1e-9)
    if free.any():  # who is not capped has the same, and nobody has more
        assert np.allclose(taken[free], taken.max(), rtol=1e-6)


def test_given_weights_are_parts_of_one_or_of_a_hundred() -> None:
    names = ["web", "maths", "news"]
    assert given({"web": 70, "news": 10, "maths": 20}, names).tolist() == [0.7, 0.2, 0.1]
    assert given([0.333] * 3, names).sum() == pytest.approx(1)
    assert given({"web": 1, "maths": 0, "news": 0}, names).tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"web": 0.5, "math": 0.5}, "no source 'math'; did you mean 'maths'"),
        ({"web": 1.0}, "none for source 'maths'; write 0"),
        ({"web": 0.0, "maths": 0.0}, "all weights are 0"),
        ({"web": -0.1, "maths": 1.1}, "weight of 'web' is -0.1"),
        ({"web": float("nan"), "maths": 1.0}, "weight of 'web' is nan"),
        ({"web": "much", "maths": 1.0}, "weight of 'web' is 'much'"),
        ({"web": 0.9, "maths": 0.3}, r"sum to 1.2.*web: 0.75, maths: 0.25"),
        ([0.5], "1 weights for 2 sources"),
    ],
)
def test_given_weights_that_are_refused(weights: Any, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        given(weights, ["web", "maths"])


@pytest.mark.parametrize(
    ("name", "tokens", "options", "says"),
    [
        ("natural", [], {}, "at least one source"),
        ("natural", [5, 0], {}, "source 'maths' has no tokens"),
        ("uniform", [5, float("nan")], {}, "'maths' has nan tokens"),
        ("unimax", [5, -1], {}, "'maths' has -1.0 tokens"),
        ("unimaks", [5, 5], {}, "did you mean 'unimax'"),
        ("natural", [5, 5], {"tau": 1}, "no option 'tau'; natural takes none"),
        ("unimax", [5, 5], {"epochs": 1}, "did you mean 'max_epochs'"),
        ("unimax", [5, 5], {"max_epochs": 4}, "make 40; lower the budget or allow 10.00 epochs"),
        ("unimax", [5, 5], {"max_epochs": 0}, "max_epochs is 0"),
        ("temperature", [5, 5], {"tau": 2}, "tau is 2"),
        ("given", [5, 5], {}, "needs `weights`"),
    ],
)
def test_what_is_refused(name: str, tokens: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        weights_by(name, tokens, 100, options, ["web", "maths"])


def test_every_control_is_there_at_any_budget() -> None:
    made = controls(SIZES, 1e9)
    assert list(made) == ["natural", "uniform", "temperature", "unimax"]
    assert all(np.isclose(shares.sum(), 1) for shares in made.values())
    assert np.allclose(made["unimax"], natural(SIZES))
    assert np.allclose(weights_by("unimax", SIZES, 100, {"max_epochs": 2}), [0.4, 0.4, 0.2])
