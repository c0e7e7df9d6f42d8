"""Distillation: cross-entropy against a teacher's tokens or distribution, a mean over tokens.

In: a student's logits [b, t, v]; of the teacher its first choice, its most probable tokens or its
logits. Out: nats [b, t - 1]. Shown by: `use: train, kind: distill`.
Limit: logits of both are held whole.

What a teacher says at place i is of token i, as labels are; a student's logits[:, i - 1] are too.
With temperature T both distributions are softened and the loss is multiplied by T squared, which
keeps its gradients as large as those of the labels (Hinton et al. 2015, arXiv:1503.02531 §2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from train.losses.cross_entropy import IGNORED, token_nats
from train.trainer import Batch, Loss

# (student's logits [b, t, v], batch) -> nats [b, t - 1] at every place, counted or not: "teacher"
# is the loss, others are for the log.
Against = Callable[[torch.Tensor, Batch], Mapping[str, torch.Tensor]]


def top1_nats(logits: torch.Tensor, best: torch.Tensor) -> torch.Tensor:
    """-log p(the teacher's first choice): best [b, t] (AFM, arXiv:2407.21075)."""
    return -_of(logits, best.unsqueeze(-1)).squeeze(-1)


def topk_nats(
    logits: torch.Tensor,
    ids: torch.Tensor,
    logprobs: torch.Tensor,
    rest: str = "drop",
    temperature: float = 1.0,
) -> torch.Tensor:
    """-sum P_T log P_S over the teacher's k most probable tokens: ids, logprobs [b, t, k].

    rest "drop": P_T is made to sum to 1 over them. "bin": all other tokens are one token more, with
    the mass that is left on either side, so that a student is not taught to leave none to them (at
    temperature 1). Both are the full cross-entropy where k is the whole vocabulary.
    """
    ours, theirs = _of(logits, ids, temperature), _told(logprobs)
    if rest == "drop":
        return -((theirs / temperature).softmax(dim=-1) * ours).sum(dim=-1) * temperature**2
    left = (1 - theirs.exp().sum(dim=-1)).clamp(min=0)
    # Summed over the tokens that are left: 1 - sum would lose all digits where little is.
    others = _log_softmax(logits).scatter(-1, ids[:, 1:].long(), float("-inf")).exp().sum(dim=-1)
    small = torch.finfo(others.dtype).tiny
    return -(theirs.exp() * ours).sum(dim=-1) - left * others.clamp(min=small).log()


def drawn_nats(
    logits: torch.Tensor, ids: torch.Tensor, logprobs: torch.Tensor, proposal: float = 1.0
) -> torch.Tensor:
    """-sum w log P_S over n tokens [b, t, n] that were drawn, with repetition, from the teacher at
    temperature `proposal`; logprobs are its own, at temperature 1.

    w is P_T over the probability of the draw, P_T^(1/proposal), made to sum to 1. At proposal 1 it
    is 1/n, and the mean over all draws is exactly the full cross-entropy, which a sum over the most
    probable is not (Anshumann et al. 2025, arXiv:2503.16870).
    """
    theirs = _told(logprobs)
    absent = theirs.isneginf()  # a place with fewer draws than others
    more = theirs.masked_fill(absent, 0.0) * (1 - 1 / proposal)
    weight = more.masked_fill(absent, float("-inf")).softmax(dim=-1)
    return -(weight * _of(logits, ids)).sum(dim=-1)


def full_nats(
    logits: torch.Tensor, teacher: torch.Tensor, temperature: float = 1.0
) -> torch.Tensor:
    """-sum P_T log P_S over the vocabulary (Gemma 2, arXiv:2408.00118 §3): KL(T || S) and the
    teacher's entropy. teacher [b, t, v]: logits of the same input, so those at i are of i + 1."""
    ours = _log_softmax(logits, temperature)
    theirs = _log_softmax(teacher, temperature).exp()
    return -(theirs * ours).sum(dim=-1) * temperature**2


def entropy(teacher: torch.Tensor) -> torch.Tensor:
    """Nats [b, t - 1] of a teacher's distributions: what is left of full_nats at KL 0."""
    theirs = _log_softmax(teacher)
    return -(theirs.exp() * theirs).sum(dim=-1)


def objective(against: Against, weight: float) -> Callable[..., Loss]:
    """weight times the teacher's loss and 1 - weight times the labels', over the counted tokens."""

    def computed(model: Any, batch: Batch, counted: torch.Tensor | None) -> Loss:
        logits = model(
            input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False
        ).logits
        labels = batch["labels"]
        here = labels[:, 1:] != IGNORED
        number = counted if counted is not None else here.sum()
        # where, not times: what is not counted may be no number
        told = {name: torch.where(here, nats, 0.0) for name, nats in against(logits, batch).items()}
        told["labels"] = token_nats(logits, labels)
        nats = weight * told["teacher"] + (1 - weight) * told["labels"]
        own = here.sum().clamp(min=1)
        metrics = {f"nats_{name}": each.detach().sum() / own for name, each in told.items()}
        return Loss(nats.sum() / number, metrics, (nats.detach().sum(-1), here.sum(-1)))

    return computed


def _of(logits: torch.Tensor, ids: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """A student's log-probabilities of the tokens told of each place: [b, t - 1, k]."""
    return _log_softmax(logits, temperature).gather(-1, ids[:, 1:].long())


def _told(logprobs: torch.Tensor) -> torch.Tensor:
    """A teacher's log-probabilities [b, t - 1, k]; 0 where it told nothing, which is not counted
    but would give gradients that are no numbers."""
    theirs = _at_least_float32(logprobs[:, 1:])
    return theirs.masked_fill(theirs.isneginf().all(dim=-1, keepdim=True), 0.0)


def _log_softmax(logits: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    return (_at_least_float32(logits[:, :-1]) / temperature).log_softmax(dim=-1)


def _at_least_float32(values: torch.Tensor) -> torch.Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))
