"""Losses of preferences: of log-probabilities of answers, nothing else.

In: sums of log p over an answer's tokens [n], by the policy and the reference; lengths [n]. Out: a
loss a row [n], in the type of the inputs. Shown by: `python -m pytest tests/train/losses`.
Limit: a mean over rows is the caller's.

Notation: x prompt, w chosen, l rejected; a ratio is log pi(y|x) - log pi_ref(y|x).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def dpo(chosen: Tensor, rejected: Tensor, beta: float, label_smoothing: float = 0.0) -> Tensor:
    """-log sigmoid(beta (ratio_w - ratio_l)): Rafailov et al. 2023 (arXiv:2305.18290), eq. 7.

    With label_smoothing, the same loss of the pair turned round has that weight (cDPO, Mitchell
    2023). chosen, rejected: ratios.
    """
    margin = beta * (chosen - rejected)
    return -(1 - label_smoothing) * logsigmoid(margin) - label_smoothing * logsigmoid(-margin)


def ipo(chosen: Tensor, rejected: Tensor, beta: float) -> Tensor:
    """(h - 1 / (2 beta))^2: Azar et al. 2023 (arXiv:2310.12036), eq. 17.

    chosen, rejected: ratios over lengths, means a token, as the authors trained (see TRL).
    """
    return (chosen - rejected - 1 / (2 * beta)) ** 2


def kto(
    ratio: Tensor, good: Tensor, z0: Tensor, beta: float, desirable: float, undesirable: float
) -> Tensor:
    """lambda_y - v(x, y): Ethayarajh et al. 2024 (arXiv:2402.01306), less a constant.

    ratio [n]; good: bool[n]; z0: the policy's distance from the reference, a constant >= 0.
    """
    gain = desirable * (1 - torch.sigmoid(beta * (ratio - z0)))
    return torch.where(good, gain, undesirable * (1 - torch.sigmoid(beta * (z0 - ratio))))


def simpo(chosen: Tensor, rejected: Tensor, beta: float, gamma: float) -> Tensor:
    """-log sigmoid(beta (mean_w - mean_l) - gamma): Meng et al. 2024 (arXiv:2405.14734), eq. 6.

    chosen, rejected: means of log p a token.
    """
    return -logsigmoid(beta * (chosen - rejected) - gamma)


def orpo(chosen: Tensor, rejected: Tensor) -> Tensor:
    """-log sigmoid of the log odds ratio: Hong et al. 2024 (arXiv:2403.07691), eq. 7.

    chosen, rejected: means of log p a token, below 0; odds are p / (1 - p).
    """
    return -logsigmoid(_log_odds(chosen) - _log_odds(rejected))


def rpo(
    chosen: Tensor,
    rejected: Tensor,
    margin: Tensor,
    beta: float,
    eta: float,
    distance: Literal["backward_kl", "forward_kl", "squared"],
) -> Tensor:
    """Distance of the implicit margin beta (ratio_w - ratio_l) to eta (r*_w - r*_l): Nemotron-4
    (arXiv:2406.11704).

    margin: r*_w - r*_l. backward_kl is the paper's: KL of Bernoulli(sigmoid(given)) from
    Bernoulli(sigmoid(implicit)); forward_kl is the other way; squared is of the margins themselves.
    """
    implicit, given = beta * (chosen - rejected), eta * margin
    if distance == "squared":
        return (implicit - given) ** 2
    if distance == "backward_kl":
        return _bernoulli_kl(given, implicit)
    return _bernoulli_kl(implicit, given)


def _bernoulli_kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(Bernoulli(sigmoid p) || Bernoulli(sigmoid q)), from logits."""
    yes = torch.sigmoid(p) * (logsigmoid(p) - logsigmoid(q))
    return yes + torch.sigmoid(-p) * (logsigmoid(-p) - logsigmoid(-q))


def _log_odds(logp: Tensor) -> Tensor:
    """log(p / (1 - p)), exact where p is close to 0 or 1."""
    near_one = torch.log(-torch.expm1(torch.clamp(logp, min=-0.6931471805599453)))
    far = torch.log1p(-torch.exp(torch.clamp(logp, max=-0.6931471805599453)))
    return logp - torch.where(logp > -0.6931471805599453, near_one, far)
