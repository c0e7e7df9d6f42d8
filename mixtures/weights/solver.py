"""The best mixture under fitted laws, held near the natural one and under every source's cap.

    minimise  mean_i exp(t_i · x) + kl * KL(x || natural)     x >= 0, sum x = 1, x_j <= cap_j

In: t float64[targets, sources], natural and caps float64[sources]. Out: a `Solution`.
Shown by: `python -m bench.law_fit`.
Limit: a floor of the law (`exp(c)`) cannot be moved by x, so it plays no part.

The objective is Olmix's (arXiv 2602.12237, section 4), as are the defaults: kl 0.05, and caps of at
most 4 epochs, cap_j = max_epochs * tokens_j / budget. It is convex; mirror descent with the KL
projection onto the capped simplex needs no solver library and keeps every step feasible.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gristmill.errors import GristmillError

F64 = NDArray[np.float64]
KL = 0.05
PRECISION = 1e-14  # of the objective, by its duality gap
_COARSE = 1e-8  # without KL the objective may be flat and many mixtures as good: no use in more
_STEPS = 20_000


@dataclass(frozen=True, slots=True)
class Solution:
    """The weights float64[sources], what they reach, and a bound on what is missing to the best."""

    weights: F64
    objective: float
    gap: float
    steps: int


def epoch_caps(tokens: ArrayLike, budget: float, max_epochs: float) -> F64:
    """Largest share of each source at `max_epochs` passes over it; refuses a budget beyond all."""
    sizes = np.asarray(tokens, np.float64)
    there = max_epochs * float(sizes.sum()) / budget
    if there < 1 - 1e-12:
        raise GristmillError(
            f"max_epochs * tokens / budget = {max_epochs:g} * {sizes.sum():,.0f} / {budget:,.0f} "
            f"= {there:.4f} < 1: no mixture fills the budget; allow at least "
            f"{budget / sizes.sum():.2f} epochs, or lower the budget to "
            f"{max_epochs * sizes.sum():,.0f} tokens"
        )
    return np.asarray(np.minimum(max_epochs * sizes / budget, 1.0))


def solve_mixture(
    t: ArrayLike,
    natural: ArrayLike,
    caps: ArrayLike | None = None,
    kl: float = KL,
    target_weights: ArrayLike | None = None,
) -> Solution:
    """Weights of least mean law and KL; `target_weights` take the place of an equal mean."""
    slopes = np.atleast_2d(np.asarray(t, np.float64))
    targets, sources = slopes.shape
    near = np.asarray(natural, np.float64)
    near = near / near.sum()
    cap = np.ones(sources) if caps is None else np.minimum(np.asarray(caps, np.float64), 1.0)
    share = np.ones(targets) if target_weights is None else np.asarray(target_weights, np.float64)
    _check(slopes, near, cap, share, kl)
    share = share / share.sum()
    x, step, gap, steps = project(near, cap), 1.0, np.inf, 0
    slope = _slope(slopes, share, x)
    precision = PRECISION if kl else _COARSE
    while gap > precision and steps < _STEPS:
        steps += 1
        while True:  # the largest step that the law's curvature, relative to KL, allows
            with np.errstate(divide="ignore"):
                pulled = (np.log(x) / step + kl * np.log(near) - slope) / (1 / step + kl)
            moved = project(np.exp(pulled - pulled.max()), cap)
            next_slope = _slope(slopes, share, moved)
            # by slopes, not values: a difference of values drowns in rounding near the best
            bend = float((next_slope - slope) @ (moved - x))
            if bend * step <= _distance(moved, x):
                break
            step /= 2
        still = bool((moved == x).all())
        x, slope, step = moved, next_slope, min(step * 1.5, 1e9)
        gap = _gap(x, slope, near, cap, kl)
        if still:
            break
    value = float(share @ np.exp(slopes @ x)) + kl * divergence(x, near)
    return Solution(x, value, max(gap, 0.0), steps)


def project(weights: ArrayLike, caps: ArrayLike) -> F64:
    """The point of the capped simplex nearest in KL: min(cap, scale * weight), summing to 1."""
    w, cap = np.asarray(weights, np.float64), np.asarray(caps, np.float64)
    with np.errstate(all="ignore"):
        reach = np.where(w > 0, cap / w, np.inf)  # the scale at which each one meets its cap
    order = np.argsort(reach, kind="stable")
    full = np.concatenate(([0.0], np.cumsum(cap[order])))  # with the first k at their caps
    rest = np.concatenate((np.cumsum(w[order][::-1])[::-1], [0.0]))
    for k in range(len(w) + 1):
        if k == len(w) or rest[k] <= 0:
            break
        scale = (1 - full[k]) / rest[k]
        if scale <= reach[order[k]]:
            return np.asarray(np.minimum(cap, np.maximum(scale, 0.0) * w))
    return np.asarray(np.where(w > 0, cap, 0.0) / np.where(w > 0, cap, 0.0).sum())


def divergence(x: F64, y: F64) -> float:
    """KL(x || y) in nats; 0 where x is 0."""
    some = x > 0
    return float(np.sum(x[some] * np.log(x[some] / y[some])))


def _distance(x: F64, y: F64) -> float:
    """KL(x || y) of two points near each other, exact where `divergence` is all rounding."""
    some = y > 0
    off = x[some] / y[some] - 1
    near = off**2 / 2 - off**3 / 6
    far = (1 + off) * np.log1p(np.maximum(off, -1 + 1e-15)) - off
    return float(y[some] @ np.where(np.abs(off) < 1e-4, near, far))


def _slope(t: F64, share: F64, x: F64) -> F64:
    """Derivative of the mean law, float64[sources]."""
    return np.asarray((share * np.exp(np.minimum(t @ x, 60.0))) @ t)


def _gap(x: F64, slope: F64, near: F64, cap: F64, kl: float) -> float:
    """Frank-Wolfe's bound on objective(x) - best: zero only at the best mixture."""
    full = slope.copy()
    if kl:
        some = x > 0
        full[some] += kl * (np.log(x[some] / near[some]) + 1)
    order = np.argsort(full, kind="stable")
    before = np.concatenate(([0.0], np.cumsum(cap[order])[:-1]))
    best = np.zeros_like(x)
    best[order] = np.clip(1 - before, 0, cap[order])
    return float(full @ (x - best))


def _check(t: F64, near: F64, cap: F64, share: F64, kl: float) -> None:
    sources = t.shape[1]
    if near.shape != (sources,) or cap.shape != (sources,):
        raise GristmillError(
            f"{sources} sources in the laws, {near.shape} natural shares, {cap.shape} caps: "
            "give one a source"
        )
    if share.shape != t.shape[:1] or (share < 0).any() or not share.sum() > 0:
        raise GristmillError(
            f"target weights {share.tolist()}: give each of {len(t)} targets 0 or more, not all 0"
        )
    if not np.isfinite(kl) or kl < 0:
        raise GristmillError(f"kl is {kl}: the pull to the natural mixture is a number from 0")
    if not (near > 0).all() or not np.isfinite(t).all() or (cap < 0).any():
        raise GristmillError("natural shares are above 0, caps from 0, and laws finite")
    if cap.sum() < 1 - 1e-12:
        raise GristmillError(
            f"the caps sum to {cap.sum():.4f} < 1: no mixture respects them; raise max_epochs by "
            f"{1 / cap.sum():.2f} or lower the budget"
        )
