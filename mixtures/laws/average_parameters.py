"""The average-parameter form: Chinchilla's, with a model whose size changes while it trains.

    L = E + A / mean(N)^alpha + B / D^beta        mean over the training tokens

In: parameters as training goes on. Out: the mean that takes N's place in `chinchilla`.
Shown by: `python -c "from mixtures.laws import pruned_average; print(pruned_average(1e9, 2e8))"`.
Limit: shown for gradual pruning of 58M to 468M parameters; for growing models it is a guess.

Source: Jin et al. 2025, The Journey Matters (arXiv 2501.12486): one law then fits sparse and dense
pre-training; pruning from 25% to 75% of the compute was near the best of 80 schedules.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gristmill.errors import GristmillError
from mixtures.laws.chinchilla import ChinchillaLaw, fit_chinchilla
from mixtures.laws.fitting import F64, LOG_DELTA, columns


def average_parameters(parameters: ArrayLike, tokens: ArrayLike) -> float:
    """Mean size over training: `parameters[i]` when `tokens[i]` tokens are seen, lines between."""
    n, d = np.asarray(parameters, np.float64), np.asarray(tokens, np.float64)
    if len(n) != len(d) or len(n) < 2 or (np.diff(d) < 0).any() or not d[-1] > d[0]:
        raise GristmillError(
            f"{len(n)} sizes at {len(d)} token counts: give as many, two or more, in the order of "
            "training"
        )
    return float(np.trapezoid(n, d) / (d[-1] - d[0]))


def pruned_average(
    dense: float, final: float, start: float = 0.25, end: float = 0.75, power: float = 3.0
) -> float:
    """Mean size when pruning goes from `dense` to `final` between two parts of training.

    `power` 3 is the gradual schedule of Zhu and Gupta 2017 (arXiv 1710.01878), 1 a straight line.
    """
    if not 0 <= start <= end <= 1 or dense <= 0 or final <= 0 or power <= 0:
        raise GristmillError(
            f"start {start}, end {end}, sizes {dense:g} and {final:g}: parts of training in order "
            "from 0 to 1, sizes and power above 0"
        )
    removed = (dense - final) * (power / (power + 1) * (end - start) + (1 - end))
    return dense - removed


def fit_average_parameters(
    averages: ArrayLike, tokens: ArrayLike, losses: ArrayLike, delta: float = LOG_DELTA
) -> ChinchillaLaw:
    """One law for sparse and dense runs: each run's mean size, tokens and final loss."""
    return fit_chinchilla(averages, tokens, losses, delta)


def parameters_through_training(law: ChinchillaLaw, losses: ArrayLike, tokens: ArrayLike) -> F64:
    """The mean size that a loss at so many tokens speaks of: the law solved for N."""
    y, d = columns(losses, tokens)
    rest = y - law.E - law.B * d**-law.beta
    if (rest <= 0).any():
        raise GristmillError("a loss is below what the law allows for any size of model")
    return np.asarray((law.A / rest) ** (1 / law.alpha))
