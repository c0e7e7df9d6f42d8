"""The critical mixture ratio: how much of a new domain a continued run may have.

    general loss, against its start:  dL(T) = a T^s + b T^u + c        rises, then falls
    domain loss, against its start:   dL(T) = a T^s + c
    critical share over budgets:      R(T) = a T^s + c

In: loss curves of runs with different shares of the domain. Out: the largest share whose general
loss is back within a tolerance of its start by the end of the budget.
Shown by: `python -m pytest tests/mixtures/laws/test_cmr.py`.
Limit: losses, not skills; the tolerance is a choice; one model size at a time, without a
published test of a forecast.

Source: Gu et al. 2024 (arXiv 2407.17467), sections 3 to 5; they count T in units of 0.2B tokens and
take 0.05 for the tolerance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from gristmill.errors import GristmillError
from mixtures.laws.fitting import F64, columns, enough, grid_starts, huber_fit

UNIT = 2e8  # tokens
TOLERANCE = 0.05  # nats
_DELTA = 0.01
_EXPONENTS = (-2.0, -1.5, -1.0, -0.75, -0.5, -0.35, -0.2, -0.1, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class PowerCurve:
    """constant + sum of factor * T ^ exponent, T being tokens / `unit`."""

    factors: tuple[float, ...]
    exponents: tuple[float, ...]
    constant: float
    unit: float = UNIT

    def at(self, tokens: ArrayLike) -> F64:
        t = np.asarray(tokens, np.float64)[..., None] / self.unit
        return np.asarray(t**self.exponents @ np.asarray(self.factors) + self.constant)


def fit_domain_curve(tokens: ArrayLike, change: ArrayLike, unit: float = UNIT) -> PowerCurve:
    """One power and a constant; also for critical shares over budgets (`change` = shares)."""
    return _fit(tokens, change, 1, unit)


def fit_general_curve(tokens: ArrayLike, change: ArrayLike, unit: float = UNIT) -> PowerCurve:
    """Two powers and a constant: a loss that rises first and falls again."""
    return _fit(tokens, change, 2, unit)


def _fit(tokens: ArrayLike, change: ArrayLike, powers: int, unit: float) -> PowerCurve:
    (d,) = columns(tokens)
    y, t = np.asarray(change, np.float64), d / unit
    if y.shape != t.shape or not np.isfinite(y).all():
        raise GristmillError(f"{len(t)} token counts and {y.shape} losses: give as many, finite")
    enough(len(y), 2 * powers + 1 if powers > 1 else 2, "the curve")
    span = max(float(np.ptp(y)), 1e-9)

    def features(exponents: Sequence[float]) -> F64:
        return np.column_stack([*(t**e for e in exponents), np.ones(len(t))])

    grid = list(combinations(_EXPONENTS, powers))
    found = grid_starts(grid, features, y, np.ones(len(y)), keep=6, above_zero=False)

    def residuals(x: F64) -> F64:
        return np.asarray(features(list(np.clip(x[:powers], -4, 3))) @ x[powers:] - y)

    best, _ = huber_fit(
        residuals, [np.concatenate((e, c)) for e, c in found], min(_DELTA, span / 10), steps=2000
    )
    exponents = np.clip(best[:powers], -4, 3)
    return PowerCurve(
        tuple(map(float, best[powers:-1])), tuple(map(float, exponents)), float(best[-1]), unit
    )


def feasible(curve: PowerCurve, tokens: float, tolerance: float = TOLERANCE) -> bool:
    """Is the general loss within the tolerance of its start when the budget is spent?"""
    return bool(curve.at(tokens) <= tolerance)


def critical_share(
    shares: ArrayLike,
    curves: Sequence[PowerCurve],
    tokens: float,
    tolerance: float = TOLERANCE,
) -> float:
    """The largest domain share that is feasible at a budget, by lines between the shares tried.

    0 where none is; the largest tried where all are: the curves say nothing beyond it.
    """
    tried = np.asarray(shares, np.float64)
    if len(tried) != len(curves) or len(tried) < 2 or len(np.unique(tried)) != len(tried):
        raise GristmillError(
            f"{len(tried)} shares and {len(curves)} curves: give one curve for each of two or more "
            "different shares of the domain"
        )
    if (tried < 0).any() or (tried > 1).any():
        raise GristmillError(f"shares {tried.tolist()}: the domain's part of the tokens, 0 to 1")
    order = np.argsort(tried)
    tried = tried[order]
    over = np.array([float(curves[i].at(tokens)) for i in order]) - tolerance
    if (over > 0).all():
        return 0.0
    last = int(np.flatnonzero(over <= 0)[-1])
    if last == len(tried) - 1:
        return float(tried[-1])
    part = over[last] / (over[last] - over[last + 1])
    return float(tried[last] + part * (tried[last + 1] - tried[last]))


def fit_critical_shares(budgets: ArrayLike, critical: ArrayLike, unit: float = UNIT) -> PowerCurve:
    """Critical share as a function of the budget; `.at(tokens)` of it, cut to 0..1, forecasts."""
    return fit_domain_curve(budgets, critical, unit)


def forecast_share(law: PowerCurve, tokens: ArrayLike) -> F64:
    """The critical share at a budget, within 0 and 1."""
    return np.asarray(np.clip(law.at(tokens), 0.0, 1.0))
