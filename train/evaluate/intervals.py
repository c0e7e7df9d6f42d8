"""Means, shares and ratios with standard errors and 95% intervals.

In: values of independent items. Out: Estimate. Shown by: the columns stderr, low, high of `use:
evaluate`. Limit: items are taken as independent; of texts by one author they are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats  # type: ignore[import-untyped]

from gristmill.rng import derive_seed

LEVEL = 0.95
DRAWS = 2000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and what is known of it; None where one item tells nothing of noise."""

    value: float
    n: int
    stderr: float | None
    low: float | None
    high: float | None


def mean(values: ArrayLike) -> Estimate:
    """The mean, with Student's t interval."""
    x = np.asarray(values, np.float64)
    if len(x) < 2:
        return Estimate(float(x.mean()), len(x), None, None, None)
    error = float(x.std(ddof=1) / math.sqrt(len(x)))
    return _around(float(x.mean()), len(x), error)


def ratio(over: ArrayLike, under: ArrayLike) -> Estimate:
    """sum(over) / sum(under), items whole: its error by linearisation (Cochran 1977, 6.4)."""
    a, b = np.asarray(over, np.float64), np.asarray(under, np.float64)
    value = float(a.sum() / b.sum())
    n = len(a)
    if n < 2:
        return Estimate(value, n, None, None, None)
    error = math.sqrt(n / (n - 1) * float(((a - value * b) ** 2).sum())) / float(b.sum())
    return _around(value, n, error)


def share(hits: float, n: int) -> Estimate:
    """A part of n trials, with Wilson's score interval (1927): sane at 0 and at n."""
    z = float(stats.norm.ppf(0.5 + LEVEL / 2))
    p = hits / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low, high = max(0.0, min(p, middle - half)), min(1.0, max(p, middle + half))
    return Estimate(p, n, math.sqrt(p * (1 - p) / n), low, high)


def bootstrap(values: ArrayLike, seed: int, draws: int = DRAWS) -> Estimate:
    """The mean, with a percentile interval over resampled items (Efron 1979)."""
    x = np.asarray(values, np.float64)
    if len(x) < 2:
        return Estimate(float(x.mean()), len(x), None, None, None)
    rng = np.random.Generator(np.random.Philox(derive_seed(seed, "bootstrap")))
    means = np.array([x[rng.integers(0, len(x), len(x))].mean() for _ in range(draws)])
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(x.mean()), len(x), float(means.std(ddof=1)), float(low), float(high))


def _around(value: float, n: int, error: float) -> Estimate:
    half = float(stats.t.ppf(0.5 + LEVEL / 2, n - 1)) * error
    return Estimate(value, n, error, value - half, value + half)
