"""The critical mixture ratio: planted curves, the largest feasible share, budgets ahead."""

from __future__ import annotations

import numpy as np
import pytest

from gristmill.errors import GristmillError
from mixtures.laws.cmr import (
    PowerCurve,
    critical_share,
    feasible,
    fit_critical_shares,
    fit_domain_curve,
    fit_general_curve,
    forecast_share,
)

TOKENS = np.geomspace(2e8, 2e10, 40)  # T from 1 to 100


def general(share: float) -> PowerCurve:
    """Rises at first, then falls as T ^ -0.4; more of the domain, later."""
    return PowerCurve((1.2 * share, -0.9 * share), (-0.4, -1.0), 0.55 * share - 0.25)


@pytest.mark.parametrize(
    ("planted", "fit"),
    [
        (PowerCurve((0.8,), (-0.35,), -0.9), fit_domain_curve),
        (PowerCurve((-0.3,), (0.2,), 0.1), fit_domain_curve),
        (general(0.5), fit_general_curve),
    ],
)
def test_planted_curves_are_found_again(planted: PowerCurve, fit: object) -> None:
    found = fit(TOKENS[::2], planted.at(TOKENS[::2]))  # type: ignore[operator]
    assert np.abs(found.at(TOKENS) - planted.at(TOKENS)).max() < 1e-4
    noise = np.random.default_rng(3).normal(0, 0.003, len(TOKENS))
    found = fit(TOKENS, planted.at(TOKENS) + noise)  # type: ignore[operator]
    assert found.at(4e10) == pytest.approx(planted.at(4e10), abs=0.02)  # twice the longest run


def test_the_largest_feasible_share() -> None:
    shares = [0.1, 0.25, 0.5, 0.75, 1.0]
    curves = [fit_general_curve(TOKENS, general(s).at(TOKENS)) for s in shares]
    t = 2e10 / 2e8
    exact = (0.05 + 0.25) / (1.2 * t**-0.4 - 0.9 / t + 0.55)  # general loss is linear in share here
    assert critical_share(shares, curves, 2e10) == pytest.approx(exact, abs=1e-3)
    assert feasible(general(exact - 0.01), 2e10) and not feasible(general(exact + 0.01), 2e10)
    # longer runs recover more
    assert critical_share(shares, curves, 2e10) > critical_share(shares, curves, 2e9)
    assert critical_share(shares, curves, 2e10, tolerance=-1) == 0
    assert critical_share(shares, curves, 2e10, tolerance=9) == 1
    assert critical_share(shares[::-1], curves[::-1], 2e10) == pytest.approx(exact, abs=1e-3)


def test_critical_shares_over_budgets_forecast() -> None:
    budgets = np.array([2e9, 4e9, 8e9, 1.2e10, 2e10])
    planted = PowerCurve((-0.5,), (-0.3,), 0.6)
    law = fit_critical_shares(budgets, planted.at(budgets))
    assert forecast_share(law, 1e11) == pytest.approx(planted.at(1e11), abs=1e-3)
    assert forecast_share(PowerCurve((1.0,), (1.0,), 0.0), 1e12) == 1


def test_mistakes_are_explained() -> None:
    with pytest.raises(GristmillError, match="4 points for the 5 parameters"):
        fit_general_curve(TOKENS[:4], TOKENS[:4])
    with pytest.raises(GristmillError, match="different shares"):
        critical_share([0.5, 0.5], [general(0.5)] * 2, 1e9)
    with pytest.raises(GristmillError, match="0 to 1"):
        critical_share([10, 50], [general(0.1), general(0.5)], 1e9)
