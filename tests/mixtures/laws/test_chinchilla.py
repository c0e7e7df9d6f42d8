"""Chinchilla's form: the published figures, and planted laws found again."""

from __future__ import annotations

import numpy as np
import pytest

from gristmill.errors import GristmillError
from mixtures.laws.chinchilla import (
    CHINCHILLA,
    CHINCHILLA_REFITTED,
    ChinchillaLaw,
    after_burn_in,
    compute_optimal,
    fit_chinchilla,
    optimal_parameters,
)


def grid(law: ChinchillaLaw, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """245 runs of 44M to 16B parameters, as many as Besiroglu et al. took from the paper's plot."""
    n, d = (
        a.ravel() for a in np.meshgrid(np.geomspace(44e6, 16e9, 35), np.geomspace(2e8, 3e11, 7))
    )
    draws = np.random.default_rng(7).normal(0, noise, n.shape)
    return n, d, law.loss(n, d) * np.exp(draws)


def test_the_published_split_of_compute() -> None:
    # Hoffmann et al., table A3, approach 3: 1B parameters ask for 1.62e20 FLOPs and 27.1B tokens,
    # 10B for 2.46e22 and 410.1B; the exponents in the text are rounded to two digits
    exact = ChinchillaLaw(E=1.6934, A=406.4, B=410.7, alpha=0.3392, beta=0.2849)
    for flops, parameters, tokens in ((1.62e20, 1e9, 27.1e9), (2.46e22, 10e9, 410.1e9)):
        assert compute_optimal(exact, flops) == pytest.approx((parameters, tokens), rel=0.06)
    assert exact.beta / (exact.alpha + exact.beta) == pytest.approx(0.46, abs=0.005)
    # Besiroglu et al., section 4: about 20 tokens a parameter at Gopher's 5.76e23 FLOPs
    n, d = compute_optimal(CHINCHILLA_REFITTED, 5.76e23)
    assert d / n == pytest.approx(20, rel=0.3)
    assert 6 * n * d == pytest.approx(5.76e23)


def test_the_best_split_is_a_minimum() -> None:
    n, d = compute_optimal(CHINCHILLA, 1e21)
    best = CHINCHILLA.loss(n, d)
    assert all(CHINCHILLA.loss(n * f, d / f) > best for f in (0.8, 0.99, 1.01, 1.3))
    assert optimal_parameters(CHINCHILLA, d) == pytest.approx(n)


@pytest.mark.parametrize("law", [CHINCHILLA, CHINCHILLA_REFITTED])
def test_a_planted_law_is_found_again(law: ChinchillaLaw) -> None:
    found = fit_chinchilla(*grid(law))
    for name in ("E", "A", "B", "alpha", "beta"):
        assert getattr(found, name) == pytest.approx(getattr(law, name), rel=1e-3), name


def test_noise_and_outliers_leave_the_forecast() -> None:
    n, d, losses = grid(CHINCHILLA, noise=0.005)
    losses[::40] *= 1.2  # runs that diverged
    found = fit_chinchilla(n, d, losses)
    assert found.loss(70e9, 1.4e12) == pytest.approx(CHINCHILLA.loss(70e9, 1.4e12), rel=0.01)
    assert found.alpha == pytest.approx(0.34, abs=0.03)
    assert found.beta == pytest.approx(0.28, abs=0.03)


def test_the_beginnings_of_curves_are_left_out() -> None:
    tokens = np.array([1, 5, 20, 50, 100, 1, 5, 10.0])
    runs = ["a"] * 5 + ["b"] * 3
    assert np.flatnonzero(after_burn_in(tokens, runs, 0.1)).tolist() == [2, 3, 4, 6, 7]
    n, d, losses = grid(CHINCHILLA)
    warming = losses + 3 * np.exp(-d / 1e8)  # warm-up, not the law
    keep = after_burn_in(d, n, 0.05)
    assert fit_chinchilla(n[keep], d[keep], warming[keep]).E == pytest.approx(1.69, rel=0.01)


@pytest.mark.parametrize(
    ("n", "d", "losses", "says"),
    [
        ([1e6] * 3, [1e9] * 3, [3.0] * 3, "3 points for the 5 parameters"),
        ([1e6] * 8, np.geomspace(1e8, 1e9, 8), [3.0] * 8, "1 different sizes of model"),
        ([1e6] * 8, [1e9] * 8, [-1.0] * 8, "value -1.0"),
        ([1e6] * 8, [1e9] * 7, [3.0] * 8, "give as many"),
    ],
)
def test_what_cannot_be_fitted(n: object, d: object, losses: object, says: str) -> None:
    with pytest.raises(GristmillError, match=says):
        fit_chinchilla(n, d, losses)  # type: ignore[arg-type]
