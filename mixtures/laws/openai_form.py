"""OpenAI's form: loss from parameters and tokens as one power of a sum.

    L(N, D) = ((Nc / N)^(alpha_N / alpha_D) + Dc / D)^alpha_D

In: parameters N (without embeddings), training tokens D, losses. Out: an `OpenAILaw`.
Shown by: `python -c "from mixtures.laws import KAPLAN; print(KAPLAN.loss(1.5e9, 2.2e10))"`.
Limit: no floor: it holds where loss is far above that of a perfect model, and on small models
counts differ from Chinchilla's, which includes embeddings (Pearce and Song, arXiv 2406.12907).

Source: Kaplan et al. 2020 (arXiv 2001.08361), equation 1.5, and table 2 for the figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from mixtures.laws.fitting import F64, LOG_DELTA, columns, enough, grid_starts, huber_fit

_EXPONENTS = (0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.5)


@dataclass(frozen=True, slots=True)
class OpenAILaw:
    """Scales and exponents of parameters and tokens."""

    parameter_scale: float  # Nc
    token_scale: float  # Dc
    alpha_N: float
    alpha_D: float

    def loss(self, parameters: ArrayLike, tokens: ArrayLike) -> F64:
        """Nats a token."""
        n, d = np.asarray(parameters, np.float64), np.asarray(tokens, np.float64)
        small = (self.parameter_scale / n) ** (self.alpha_N / self.alpha_D)
        return np.asarray((small + self.token_scale / d) ** self.alpha_D)

    def tokens_for(self, parameters: ArrayLike, overfit: float = 0.02) -> F64:
        """Tokens from which a model of that size is at most `overfit` above its best loss.

        Equation 4.3 solved for D; the paper rounds it to 5,000 N^0.74 (equation 4.4).
        """
        n = np.asarray(parameters, np.float64)
        room = (1 + overfit) ** (1 / self.alpha_D) - 1
        exponent = self.alpha_N / self.alpha_D
        return np.asarray(self.token_scale * (n / self.parameter_scale) ** exponent / room)


KAPLAN = OpenAILaw(parameter_scale=6.4e13, token_scale=1.8e13, alpha_N=0.076, alpha_D=0.103)


def fit_openai(
    parameters: ArrayLike, tokens: ArrayLike, losses: ArrayLike, delta: float = LOG_DELTA
) -> OpenAILaw:
    """The law of least Huber loss on log L; starts from a grid of both exponents."""
    n, d, y = columns(parameters, tokens, losses)
    enough(len(y), 4, "OpenAI's form")
    starts: list[ArrayLike] = []
    for point in product(_EXPONENTS, _EXPONENTS):
        a, b = point
        # with exponents known, L^(1 / alpha_D) is linear in Nc^(alpha_N / alpha_D) and Dc
        ((_, (small, short)),) = grid_starts(
            [point],
            lambda e: np.column_stack((n ** (-e[0] / e[1]), 1 / d)),
            y ** (1 / b),
            b * y ** (-1 / b),
        )
        if small > 0 and short > 0:
            starts.append([np.log(small) * b / a, np.log(short), np.log(a), np.log(b)])

    def residuals(x: F64) -> F64:
        a, b = np.exp(np.minimum(x[2:], 3.0))
        return np.asarray(
            b * np.logaddexp((x[0] - np.log(n)) * a / b, x[1] - np.log(d)) - np.log(y)
        )

    starts.sort(key=lambda start: float(np.abs(residuals(np.asarray(start))).sum()))
    best, _ = huber_fit(residuals, starts[:4] or [[30.0, 30.0, -2.5, -2.3]], delta, steps=2000)
    return OpenAILaw(*(float(value) for value in np.exp(best)))
