"""The distance of two distributions over the same vocabulary, a token: KL either way, JSD between.

In: logits of student and teacher [b, t, v]. Out: nats [b, t].
Shown by: `python -m pytest tests/train/losses/test_policy.py`.
Limit: both logits are held whole.
"""

from __future__ import annotations

import math

import torch


def divergence(student: torch.Tensor, teacher: torch.Tensor, beta: float) -> torch.Tensor:
    """Generalized Jensen-Shannon (Agarwal et al. 2023, arXiv:2306.13649, eq. 1), ends as in TRL.

    beta 0: KL(teacher || student); 1: KL(student || teacher); between: with the mixture
    M = beta T + (1 - beta) S, beta KL(T || M) + (1 - beta) KL(S || M).
    """
    ours, theirs = student.log_softmax(dim=-1), teacher.log_softmax(dim=-1)
    if beta == 0:
        return kl(theirs, ours)
    if beta == 1:
        return kl(ours, theirs)
    mixed = torch.logaddexp(theirs + math.log(beta), ours + math.log1p(-beta))
    return beta * kl(theirs, mixed) + (1 - beta) * kl(ours, mixed)


def kl(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """KL(P || Q) of log-probabilities [..., v]."""
    return (p.exp() * (p - q)).sum(dim=-1)
