"""Robust least squares that all laws are fitted with, and how well a fit ranks and explains.

In: residuals (and their derivatives) as a function of parameters, and starts. Out: the best
parameters found. Shown by: `python -m pytest tests/mixtures/laws`.
Limit: local searches from given starts: the same result every time, not proof of a global one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gristmill.errors import GristmillError

F64 = NDArray[np.float64]
Function = Callable[[F64], F64]
LOG_DELTA = 1e-3  # Hoffmann et al. 2022, section 3.3: Huber on the log of the loss


def huber_fit(
    residuals: Function,
    starts: Sequence[ArrayLike],
    delta: float,
    jacobian: Function | None = None,
    steps: int = 400,
) -> tuple[F64, float]:
    """Parameters of least summed Huber loss over all starts, and that sum.

    `residuals`: float64[p] -> float64[n]; beyond `delta` they count linearly. `jacobian`:
    float64[p] -> float64[n, p], by differences where there is none.
    """
    from scipy.optimize import least_squares  # type: ignore[import-untyped]  # 0.3 s to import

    best, cost = np.zeros(0), np.inf
    for start in starts:
        options: dict[str, Any] = {"jac": jacobian} if jacobian else {}
        found = least_squares(
            residuals,
            np.asarray(start, np.float64),
            loss="huber",
            f_scale=delta,
            max_nfev=steps,
            x_scale="jac",
            **options,
        )
        if np.isfinite(found.cost) and found.cost < cost:
            best, cost = found.x, float(found.cost)
    if not np.isfinite(cost):
        raise GristmillError("the fit found no finite parameters; are all losses above 0?")
    return best, cost


def huber_cost(residuals: F64, delta: float) -> F64:
    """The Huber loss summed over the first axis, as `huber_fit` counts it."""
    size = np.abs(residuals)
    each = np.where(size <= delta, size**2 / 2, delta * (size - delta / 2))
    return np.asarray(each.sum(axis=0))


def grid_starts(
    grid: Sequence[Sequence[float]],
    features: Callable[[Sequence[float]], F64],
    observed: F64,
    weight: F64,
    keep: int = 4,
    above_zero: bool = True,
) -> list[tuple[Sequence[float], F64]]:
    """The `keep` best points of a grid of exponents, each with its coefficients by least squares.

    For laws that are linear once the exponents are known: `features(exponents)` float64[n, k] times
    the coefficients is `observed`. A dense grid costs little so, and no start is far from the best.
    """
    from scipy.optimize import nnls

    found: list[tuple[float, int, Sequence[float], F64]] = []
    for point in grid:
        matrix = features(point) * weight[:, None]
        scale = np.linalg.norm(matrix, axis=0)
        if not np.isfinite(scale).all() or (scale == 0).any():
            continue
        if above_zero:
            solved, rest = nnls(matrix / scale, observed * weight)
        else:
            solved = np.linalg.lstsq(matrix / scale, observed * weight, rcond=None)[0]
            rest = np.linalg.norm(matrix / scale @ solved - observed * weight)
        found.append((float(rest), len(found), point, solved / scale))
    return [(point, solved) for _, _, point, solved in sorted(found, key=lambda f: f[:2])[:keep]]


def ranks(values: ArrayLike) -> F64:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, count = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place], np.float64)


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Rank correlation, from -1 to 1; nan where one side is constant."""
    first, second = ranks(a), ranks(b)
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])


def columns(*arrays: ArrayLike) -> list[F64]:
    """Equally long float64 columns; GristmillError where a value is missing or not above 0."""
    made = [np.atleast_1d(np.asarray(array, np.float64)) for array in arrays]
    if len({len(column) for column in made}) > 1:
        raise GristmillError(f"columns of {[len(column) for column in made]} values: give as many")
    for column in made:
        if not (np.isfinite(column) & (column > 0)).all():
            wrong = column[~(np.isfinite(column) & (column > 0))][0]
            raise GristmillError(f"value {wrong}: sizes, tokens and losses are numbers above 0")
    return made


def enough(points: int, parameters: int, what: str) -> None:
    """GristmillError unless a fit of `parameters` has at least one point more."""
    if points <= parameters:
        raise GristmillError(
            f"{points} points for the {parameters} parameters of {what}: "
            f"give at least {parameters + 1}"
        )
