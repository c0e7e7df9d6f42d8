"""The log-linear mixing law: the loss of each target from the shares of the sources.

    L(p) = exp(c) + exp(t · p)          one c and one t[source] for each target

In: shares float64[runs, sources], rows summing to 1, and losses float64[runs, targets]. Out: a
`LogLinearLaw`. Shown by: `python -m bench.law_fit`.
Limit: lower must be better and above 0; shares only, so the size of model and budget is the runs'.

Data mixing laws (Ye et al., arXiv 2403.16952, section 3) found the form; Olmix (arXiv 2602.12237)
fits it per task with a Huber loss of 0.02, as here. `exp(t · p)` needs no factor of its own: the
shares sum to 1, so a constant added to all of t is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gristmill.errors import GristmillError
from gristmill.rng import keyed_uniform
from mixtures.laws.fitting import F64, huber_cost, huber_fit, spearman

DELTA = 0.02
FLOORS = (0.98, 0.9, 0.7, 0.4)  # first guesses of exp(c), in parts of the lowest loss seen
ADVISED = 3  # times (sources + 1) runs: where the fit of RegMix's runs bends (.40 at 1, .91 at 3)
_EVALUATIONS = 100  # 20 are the rule; runs as few as parameters would take thousands, for nothing
_HIGHEST = 60.0  # exponents beyond are a search gone astray, not a loss


@dataclass(frozen=True, slots=True)
class LogLinearLaw:
    """c float64[targets], t float64[targets, sources]; t is 0 for sources that no run had."""

    c: F64
    t: F64

    def loss(self, shares: ArrayLike) -> F64:
        """float64[runs, sources] -> float64[runs, targets]; one mixture gives float64[targets]."""
        exponent = np.asarray(shares, np.float64) @ self.t.T
        return np.asarray(np.exp(self.c) + np.exp(np.minimum(exponent, _HIGHEST)))


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Predictions for runs that the fit had not seen; nan where no fold could be held out."""

    fold: np.ndarray  # int32[runs]
    law: F64  # [runs, targets]
    ols: F64  # of a straight line in the shares, from the same folds
    spearman: F64  # [targets]
    ols_spearman: F64


def fit_loglinear(shares: ArrayLike, losses: ArrayLike, delta: float = DELTA) -> LogLinearLaw:
    """One law a target; refuses designs that cannot tell the sources apart (`check_design`)."""
    p, observed = checked(shares, losses)
    check_design(p)
    return _fit(p, observed, delta, len(FLOORS))


def _fit(p: F64, observed: F64, delta: float, searches: int) -> LogLinearLaw:
    """Search from the `searches` best of the starts, each an OLS on the log."""
    live = p.max(axis=0) > 0
    used = np.ascontiguousarray(p[:, live])
    targets = observed.shape[1]
    c, t = np.zeros(targets), np.zeros((targets, p.shape[1]))
    for target in range(targets):
        y = observed[:, target]
        starts = [_start(used, y, part) for part in FLOORS]
        costs = [huber_cost(_residuals(used, y)(start), delta) for start in starts]
        chosen = [starts[i] for i in np.argsort(costs, kind="stable")[:searches]]
        found, _ = huber_fit(_residuals(used, y), chosen, delta, _jacobian(used), _EVALUATIONS)
        c[target], t[target, live] = found[0], found[1:]
    return LogLinearLaw(c, t)


def _start(p: F64, y: F64, part: float) -> F64:
    """An OLS of log(loss - floor), weighted by what an error of the loss is in that log."""
    floor = part * y.min()
    weight = y - floor
    slopes = np.linalg.lstsq(p * weight[:, None], weight * np.log(weight), rcond=None)[0]
    return np.concatenate(([np.log(floor)], slopes))


def _residuals(p: F64, y: F64) -> Callable[[F64], F64]:
    return lambda x: np.exp(min(x[0], _HIGHEST)) + np.exp(np.minimum(p @ x[1:], _HIGHEST)) - y


def _jacobian(p: F64) -> Callable[[F64], F64]:
    def slopes(x: F64) -> F64:
        rise = np.exp(np.minimum(p @ x[1:], _HIGHEST))
        floor = np.full(len(p), np.exp(min(x[0], _HIGHEST)))
        return np.column_stack((floor, p * rise[:, None]))

    return slopes


def checked(shares: ArrayLike, losses: ArrayLike) -> tuple[F64, F64]:
    """Both as matrices of as many rows; GristmillError where a number cannot be."""
    p, observed = np.asarray(shares, np.float64), np.asarray(losses, np.float64)
    observed = observed[:, None] if observed.ndim == 1 else observed
    if p.ndim != 2 or len(p) != len(observed):
        raise GristmillError(f"shares {p.shape} and losses {observed.shape}: give a row a run each")
    if not np.isfinite(p).all() or (p < 0).any() or (np.abs(p.sum(axis=1) - 1) > 1e-6).any():
        raise GristmillError("each run's shares are numbers from 0 that sum to 1")
    if not np.isfinite(observed).all() or (observed <= 0).any():
        worst = observed[~(np.isfinite(observed) & (observed > 0))][0]
        raise GristmillError(
            f"a loss is {worst}: the law is for losses above 0, lower being better "
            "(for an accuracy take its error rate or, better, bits per byte of the answers)"
        )
    return p, observed


def check_design(shares: F64, names: Sequence[str] | None = None) -> str | None:
    """Raise where the runs cannot determine the law; a warning where they hardly do."""
    live = np.flatnonzero(shares.max(axis=0) > 0)
    runs, sources = len(np.unique(shares.round(9), axis=0)), len(live)
    needed, advised = sources + 1, ADVISED * (sources + 1)
    if runs < needed:
        raise GristmillError(
            f"underdetermined: {runs} runs for {sources} live domains need at least {needed}; "
            f"no override (a run of the same shares counts once; {advised} are advised)"
        )
    directions = int(np.linalg.matrix_rank(shares[:, live], tol=1e-6 * np.sqrt(runs)))
    if directions < sources:
        tied = [names[i] if names else str(i) for i in _tied(shares, live)]
        raise GristmillError(
            f"underdetermined: the runs vary {sources} live domains in {directions} directions "
            f"only; {', '.join(tied)} always move together: vary them apart or join them"
        )
    if runs < advised:
        return (
            f"{runs} runs for {sources} live domains: {advised} are advised (3 for each domain "
            "and one more); with fewer, mixtures are ranked poorly"
        )
    return None


def _tied(shares: F64, live: np.ndarray) -> np.ndarray:
    """Sources in the combination that no run changes."""
    _, _, directions = np.linalg.svd(shares[:, live])
    return np.asarray(live[np.abs(directions[-1]) > 1e-3])


def straight_line(shares: F64, losses: F64) -> F64:
    """OLS in the shares, float64[sources, targets]: what a law must beat."""
    return np.asarray(np.linalg.lstsq(shares, losses, rcond=None)[0])


def held_out(
    shares: ArrayLike, losses: ArrayLike, folds: int = 5, seed: int = 0, delta: float = DELTA
) -> HeldOut:
    """Predict each run by a law fitted without its fold.

    More folds are made where `folds` would leave fewer runs than the law needs; with none to
    spare all is nan.
    """
    p, observed = checked(shares, losses)
    runs, needed = len(p), int((p.max(axis=0) > 0).sum()) + 1
    spare = runs - needed
    fold = np.zeros(runs, np.int32)
    law, ols = np.full(observed.shape, np.nan), np.full(observed.shape, np.nan)
    if spare > 0:
        folds = min(runs, max(folds, -(-runs // spare)))
        order = np.argsort(keyed_uniform(seed, np.arange(runs)), kind="stable")
        fold[order] = np.arange(runs) % folds
        for number in range(folds):
            out = fold == number
            law[out] = _fit(p[~out], observed[~out], delta, 1).loss(p[out])
            ols[out] = p[out] @ straight_line(p[~out], observed[~out])
    scores = [
        np.array([spearman(observed[:, k], made[:, k]) for k in range(observed.shape[1])])
        if spare > 0
        else np.full(observed.shape[1], np.nan)
        for made in (law, ols)
    ]
    return HeldOut(fold, law, ols, scores[0], scores[1])
