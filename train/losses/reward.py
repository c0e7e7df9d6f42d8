"""Losses of reward models: of the numbers that a model gives conversations.

In: rewards [n]; what people said. Out: a loss a row [n], in the type of the inputs.
Shown by: `python -m pytest tests/train/losses`. Limit: a mean over rows is the caller's.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid


def bradley_terry(chosen: Tensor, rejected: Tensor, margin: Tensor | None = None) -> Tensor:
    """-log sigmoid(r_w - r_l - m): Bradley and Terry 1952; m: Llama 2 (arXiv:2307.09288)."""
    gap = chosen - rejected
    return -logsigmoid(gap if margin is None else gap - margin)


def ranked(rewards: Tensor, there: Tensor, margin: Tensor | None = None) -> Tensor:
    """Mean of `bradley_terry` over all pairs: Ouyang et al. 2022 (arXiv:2203.02155).

    rewards [n, k], the best first; there: bool[n, k], which of them a row has (two at least).
    """
    total = rewards.new_zeros(len(rewards))
    pairs = torch.zeros_like(total)
    for better, worse in combinations(range(rewards.shape[1]), 2):
        both = (there[:, better] & there[:, worse]).to(rewards.dtype)
        total = total + both * bradley_terry(rewards[:, better], rewards[:, worse], margin)
        pairs = pairs + both
    return total / pairs


def centre(chosen: Tensor, rejected: Tensor) -> Tensor:
    """(r_w + r_l)^2, which keeps rewards around 0: Eisenstein 2023 (arXiv:2312.09244), eq. 2."""
    return (chosen + rejected) ** 2


def soft_label(chosen: Tensor, rejected: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of sigmoid(r_w - r_l) with a target probability: AFM (arXiv:2407.21075), which
    has a target for each of four levels of preference."""
    gap = chosen - rejected
    return -target * logsigmoid(gap) - (1 - target) * logsigmoid(-gap)


def grading(logits: Tensor, grades: Tensor) -> Tensor:
    """Cross-entropy of one grade [n] from logits [n, levels]; 0 where the grade is NaN.

    AFM adds lambda times the sum of these over four grades and both answers. It tells no lambda;
    grades that are missing, and the number of levels, are ours.
    """
    known = ~torch.isnan(grades)
    nats = cross_entropy(logits, torch.where(known, grades, 0).long(), reduction="none")
    return torch.where(known, nats, 0)


def attributes(predicted: Tensor, rated: Tensor) -> Tensor:
    """Mean over a row's rated attributes of squared errors [n, k]; NaN: not rated.

    The regression of HelpSteer2 (Wang et al. 2024, arXiv:2406.08673).
    """
    known = ~torch.isnan(rated)
    errors = torch.where(known, predicted - torch.where(known, rated, 0), 0) ** 2
    return errors.sum(dim=-1) / known.sum(dim=-1).clamp(min=1)
