"""What repeated tokens are worth: effective tokens, the loss they lead to, and the fit of both.

    D' = U + U R* (1 - exp(-R / R*))        U unique tokens, R = D / U - 1 repetitions

In: unique and total tokens (and parameters). Out: the new tokens that would do as much.
Shown by: `python -c "from mixtures.laws import effective_tokens; print(effective_tokens(1, 4))"`.
Limit: R* was fitted with dropout 0.1 on English web text up to 9B parameters; mixtures of scarce
and plentiful sources bear more repetitions than a scarce one alone (arXiv 2605.12715).

Source: Muennighoff et al. 2023 (arXiv 2305.16264), section 3.1 and appendix A: R*_D and R*_N, and
the law for C4 that they go with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mixtures.laws.chinchilla import ChinchillaLaw, optimal_parameters
from mixtures.laws.fitting import F64, LOG_DELTA, columns, enough, huber_fit

TOKEN_DECAY = 15.387756  # R*_D: epochs after which a repetition is worth 1/e of a new token
PARAMETER_DECAY = 5.309743  # R*_N, likewise of parameters beyond what the unique tokens ask for
C4 = ChinchillaLaw(E=1.87, A=521.0, B=1488.0, alpha=0.353, beta=0.353)
WARN_EPOCHS = 4.0  # up to here a repetition is nearly as good as new (section 1)
REFUSE_EPOCHS = 16.0  # beyond R*_D returns fall fast; at 40 they are nothing


@dataclass(frozen=True, slots=True)
class RepetitionLaw:
    """How fast repeated tokens and excess parameters lose their worth, over a law for new ones."""

    token_decay: float
    parameter_decay: float
    new: ChinchillaLaw

    def loss(self, parameters: ArrayLike, unique: ArrayLike, tokens: ArrayLike) -> F64:
        """Nats a token for models trained on `tokens` tokens of which `unique` differ."""
        n = effective_parameters(parameters, unique, self.new, self.parameter_decay)
        return self.new.loss(n, effective_tokens(unique, tokens, self.token_decay))


def effective_tokens(unique: ArrayLike, tokens: ArrayLike, decay: float = TOKEN_DECAY) -> F64:
    """New tokens worth as much as `tokens` drawn from `unique`; no less than one pass gives."""
    return _worth(np.asarray(unique, np.float64), np.asarray(tokens, np.float64), decay)


def effective_parameters(
    parameters: ArrayLike,
    unique: ArrayLike,
    law: ChinchillaLaw = C4,
    decay: float = PARAMETER_DECAY,
) -> F64:
    """Parameters worth as much, where the model is larger than the unique tokens ask for."""
    asked = optimal_parameters(law, unique)
    n = np.asarray(parameters, np.float64)
    return _worth(np.minimum(asked, n), n, decay)


def worth_of_epoch(epoch: ArrayLike, decay: float = TOKEN_DECAY) -> F64:
    """What one more token is worth in pass number `epoch` (from 1), against a new one."""
    return np.asarray(np.exp(-np.maximum(np.asarray(epoch, np.float64) - 1, 0) / decay))


def _worth(unique: F64, total: F64, decay: float) -> F64:
    first = np.minimum(unique, total)
    with np.errstate(divide="ignore", invalid="ignore"):
        again = np.where(unique > 0, np.maximum(total / unique - 1, 0), 0.0)
    return np.asarray(first - first * decay * np.expm1(-again / decay))


def fit_repetition(
    parameters: ArrayLike,
    unique: ArrayLike,
    tokens: ArrayLike,
    losses: ArrayLike,
    new: ChinchillaLaw,
    delta: float = LOG_DELTA,
) -> RepetitionLaw:
    """Both decays, given the law for tokens seen once (fit that first, as the paper does)."""
    n, u, d, y = columns(parameters, unique, tokens, losses)
    enough(len(y), 2, "the repetition law")

    def law(x: F64) -> RepetitionLaw:
        token_decay, parameter_decay = np.exp(np.clip(x, -5, 12))
        return RepetitionLaw(float(token_decay), float(parameter_decay), new)

    def residuals(x: F64) -> F64:
        return np.asarray(np.log(law(x).loss(n, u, d)) - np.log(y))

    starts = [[np.log(a), np.log(b)] for a in (3, 15, 60) for b in (2, 10)]
    best, _ = huber_fit(residuals, starts, delta)
    return law(best)
