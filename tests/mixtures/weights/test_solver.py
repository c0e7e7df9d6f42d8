"""The solver: as good as SLSQP, never outside the caps, and what is infeasible."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from gristmill.errors import GristmillError
from mixtures.weights.solver import divergence, epoch_caps, project, solve_mixture


def problem(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Laws whose targets each gain from one source; caps that bind for some."""
    rng = np.random.default_rng(seed)
    sources, targets = int(rng.integers(2, 24)), int(rng.integers(1, 16))
    t = rng.normal(0.5, 1, (targets, sources))
    t[np.arange(targets), rng.integers(0, sources, targets)] -= rng.uniform(1, 8, targets)
    natural = np.maximum(rng.dirichlet(np.ones(sources)), 1e-4)
    natural /= natural.sum()
    caps = np.minimum(natural * rng.uniform(1.2, 6), 1)
    return t, natural, caps, float(rng.choice([0.01, 0.05, 0.3]))


def slsqp(t: np.ndarray, natural: np.ndarray, caps: np.ndarray, kl: float) -> Any:
    """scipy's answer; started again where it stopped, since it often stops early."""

    def value(x: np.ndarray) -> float:
        x = np.maximum(x, 1e-300)
        return float(np.exp(t @ x).mean() + kl * np.sum(x * np.log(x / natural)))

    def slope(x: np.ndarray) -> np.ndarray:
        x = np.maximum(x, 1e-300)
        return (np.exp(t @ x)[:, None] * t).mean(0) + kl * (np.log(x / natural) + 1)

    x = project(natural, caps)
    for _ in range(4):
        found = minimize(
            value, x, jac=slope, bounds=[(1e-12, cap) for cap in caps], method="SLSQP",
            constraints={"type": "eq", "fun": lambda x: x.sum() - 1, "jac": np.ones_like},
            options={"ftol": 1e-16, "maxiter": 1000},
        )  # fmt: skip
        x = found.x
    return found


@pytest.mark.parametrize("seed", range(20))
def test_it_agrees_with_slsqp(seed: int) -> None:
    t, natural, caps, kl = problem(seed)
    ours, theirs = solve_mixture(t, natural, caps, kl), slsqp(t, natural, caps, kl)
    assert ours.objective <= theirs.fun + 1e-9
    assert np.abs(ours.weights - theirs.x).max() < 1e-6
    assert ours.gap < 1e-12  # nobody can do better by more


@settings(max_examples=40, deadline=None)
@given(st.integers(100, 10_000))
def test_weights_are_always_feasible(seed: int) -> None:
    t, natural, caps, kl = problem(seed)
    found = solve_mixture(t, natural, caps, kl)
    assert found.weights.sum() == pytest.approx(1, abs=1e-12)
    assert (found.weights >= 0).all() and (found.weights <= caps + 1e-12).all()
    assert found.gap < 1e-10


def test_the_pull_to_natural_decides_between_the_two_ends() -> None:
    t, natural = np.array([[-3.0, 0.0, 0.0]]), np.array([0.2, 0.3, 0.5])
    assert np.allclose(solve_mixture(t, natural, kl=1e6).weights, natural, atol=1e-5)
    free = solve_mixture(t, natural, kl=0.0).weights
    assert free[0] > 0.999
    capped = solve_mixture(t, natural, [0.4, 1, 1], kl=0.05).weights
    assert capped[0] == pytest.approx(0.4)
    assert capped[1] / capped[2] == pytest.approx(0.3 / 0.5)  # the rest as natural has it


def test_targets_may_count_differently() -> None:
    t, natural = np.array([[-3.0, 0.0], [0.0, -3.0]]), np.array([0.5, 0.5])
    assert np.allclose(solve_mixture(t, natural).weights, [0.5, 0.5], atol=1e-6)
    assert solve_mixture(t, natural, target_weights=[3, 1]).weights[0] > 0.6
    only = solve_mixture(t, natural, target_weights=[1, 0]).weights
    assert np.allclose(only, solve_mixture(t[:1], natural).weights)


def test_extremes_come_without_warnings() -> None:
    rng = np.random.default_rng(0)
    natural = np.maximum(rng.dirichlet(np.ones(200)), 1e-8)
    natural /= natural.sum()
    t = rng.normal(0, 2, (20, 200))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert solve_mixture(t, natural, np.minimum(4 * natural, 1)).gap < 1e-13
        assert solve_mixture(t, natural, np.minimum(4 * natural, 1), kl=0.0).gap < 1e-7
        assert solve_mixture([[40.0, 2.0, -50.0]], [0.2, 0.5, 0.3], [0.3, 0.4, 0.35]).gap == 0
        assert solve_mixture([[1.0]], [1.0]).weights.tolist() == [1.0]
        assert solve_mixture([[1.0, 2.0]], [0.5, 0.5], kl=0.0).weights[0] > 1 - 1e-6


def test_a_source_without_room_gets_nothing() -> None:
    found = solve_mixture([[-3.0, 0.0, 0.0]], [0.2, 0.3, 0.5], [0.0, 1.0, 1.0])
    assert found.weights[0] == 0 and found.weights.sum() == pytest.approx(1)


def test_projection_scales_and_cuts() -> None:
    assert np.allclose(project([8, 1, 1], [0.5, 1, 1]), [0.5, 0.25, 0.25])
    assert np.allclose(project([8, 1, 1], [0.5, 0.2, 1]), [0.5, 0.2, 0.3])
    assert np.allclose(project([1, 1], [0.5, 0.5]), [0.5, 0.5])
    assert divergence(np.array([0.0, 1.0]), np.array([0.5, 0.5])) == pytest.approx(np.log(2))


def test_caps_of_epochs() -> None:
    assert epoch_caps([50, 10], 100, 4).tolist() == [1.0, 0.4]
    with pytest.raises(GristmillError, match=r"= 0\.4000 < 1.* at least 10\.00 epochs"):
        epoch_caps([50, 10], 600, 4)
    with pytest.raises(GristmillError, match=r"sum to 0\.8000 < 1"):
        solve_mixture([[1.0, 1.0]], [0.5, 0.5], [0.4, 0.4])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kl": -1.0}, "kl is -1.0"),
        ({"target_weights": [0.0]}, "not all 0"),
        ({"caps": [1.0]}, "one a source"),
        ({"natural": [0.0, 1.0]}, "above 0"),
    ],
)
def test_what_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(GristmillError, match=says):
        solve_mixture(**{"t": [[1.0, 2.0]], "natural": [0.5, 0.5], **options})
