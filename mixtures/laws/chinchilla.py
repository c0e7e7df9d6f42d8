"""Chinchilla's form: loss from parameters and tokens, its fit, and the best split of compute.

    L(N, D) = E + A / N^alpha + B / D^beta

In: parameters N, training tokens D, losses. Out: a `ChinchillaLaw`.
Shown by: `python -c "from mixtures.laws import CHINCHILLA; print(CHINCHILLA.loss(70e9, 1.4e12))"`.
Limit: one architecture, data set and recipe; tokens that are seen once (`repetition` for others).

Source: Hoffmann et al. 2022 (arXiv 2203.15556), section 3.3 and appendix D.3: Huber loss (0.001) on
the log. Besiroglu et al. 2024 (arXiv 2404.10102) found that its fit had stopped early and its
figures were rounded too far; theirs is `CHINCHILLA_REFITTED`. Whole curves may be fitted if their
beginnings are dropped (Choshen et al. 2024, arXiv 2410.11840: the first 10B tokens; here a part).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from gristmill.errors import GristmillError
from mixtures.laws.fitting import F64, LOG_DELTA, columns, enough, grid_starts, huber_fit

FLOPS = 6  # floating-point operations a parameter and token: forward and backward pass
_EXPONENTS = tuple(np.arange(1, 11) / 10)


@dataclass(frozen=True, slots=True)
class ChinchillaLaw:
    """E nats that no model gets below, and what is lost for want of parameters and of tokens."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def loss(self, parameters: ArrayLike, tokens: ArrayLike) -> F64:
        """Nats a token."""
        n, d = np.asarray(parameters, np.float64), np.asarray(tokens, np.float64)
        return np.asarray(self.E + self.A * n**-self.alpha + self.B * d**-self.beta)

    @property
    def balance(self) -> float:
        """G of Hoffmann et al., equation 4."""
        ratio = (self.alpha * self.A) / (self.beta * self.B)
        return float(ratio ** (1 / (self.alpha + self.beta)))


CHINCHILLA = ChinchillaLaw(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)  # equation 10
CHINCHILLA_REFITTED = ChinchillaLaw(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658)


def compute_optimal(law: ChinchillaLaw, flops: float) -> tuple[float, float]:
    """Parameters and tokens of least loss for `flops` = 6 N D (Hoffmann et al., equation 4)."""
    pairs, total = flops / FLOPS, law.alpha + law.beta
    parameters = law.balance * pairs ** (law.beta / total)
    return parameters, pairs / parameters


def optimal_parameters(law: ChinchillaLaw, tokens: ArrayLike) -> F64:
    """Parameters for which so many tokens are compute-optimal."""
    d = np.asarray(tokens, np.float64)
    return np.asarray(law.balance * (d * law.balance) ** (law.beta / law.alpha))


def fit_chinchilla(
    parameters: ArrayLike, tokens: ArrayLike, losses: ArrayLike, delta: float = LOG_DELTA
) -> ChinchillaLaw:
    """The law of least Huber loss on log L; starts from a grid of both exponents."""
    n, d, y = columns(parameters, tokens, losses)
    enough(len(y), 5, "Chinchilla's form")
    for name, column in (("sizes of model", n), ("numbers of tokens", d)):
        if len(np.unique(column)) < 3:
            raise GristmillError(
                f"{len(np.unique(column))} different {name}: an exponent needs at least 3"
            )

    def features(exponents: Sequence[float]) -> F64:
        alpha, beta = exponents
        return np.column_stack((np.ones(len(y)), n**-alpha, d**-beta))

    starts = []
    for (alpha, beta), found in grid_starts(
        list(product(_EXPONENTS, _EXPONENTS)), features, y, 1 / y
    ):
        e, a, b = np.log(np.maximum(found, [1e-3 * y.min(), 1e-9, 1e-9]))
        starts.append([e, a, b, np.log(alpha), np.log(beta)])

    def residuals(x: F64) -> F64:
        e, a, b = x[:3]
        alpha, beta = np.exp(np.minimum(x[3:], 3.0))
        terms = [np.full(len(y), e), a - alpha * np.log(n), b - beta * np.log(d)]
        return np.asarray(np.logaddexp.reduce(terms) - np.log(y))

    best, _ = huber_fit(residuals, starts, delta, steps=2000)
    return ChinchillaLaw(*(float(value) for value in np.exp(best)))


def after_burn_in(
    tokens: ArrayLike, runs: ArrayLike | None = None, fraction: float = 0.1
) -> np.ndarray:
    """bool[n]: points of loss curves past the first `fraction` of their own run's tokens."""
    if not 0 <= fraction < 1:
        raise GristmillError(f"fraction is {fraction}: drop from 0 up to less than all of a run")
    (d,) = columns(tokens)
    names = np.zeros(len(d), np.int64) if runs is None else np.asarray(runs)
    _, run = np.unique(names, return_inverse=True)
    last = np.zeros(run.max() + 1)
    np.maximum.at(last, run, d)
    return np.asarray(d > fraction * last[run])
