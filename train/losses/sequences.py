"""Objectives over whole sequences: a model's log-probabilities or rewards into the pure losses.

In: micro-batches of train.data.examples. Out: train.trainer.Loss, a mean over the rows of a step.
Shown by: `use: train, kind: preference`. Limit: the logits of a micro-batch are held whole.

KTO's z0, the policy's distance from the reference, is one number of the whole optimiser step: the
mean over all its rows, on all ranks, of the ratio of another row's answer to a row's prompt; 0 at
least. So it does not depend on how a step is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from train.data.shapes import OTHER
from train.losses import preference as losses
from train.losses.cross_entropy import IGNORED
from train.spec.losses.preference import Dpo, Ipo, Kto, Orpo, Preference, Rpo, Simpo
from train.trainer import Batch, Loss


@dataclass(frozen=True, slots=True)
class Scored:
    """Sums of log p over learnt tokens, and how many they are: [rows, sequences] each."""

    logp: Tensor
    count: Tensor
    every: Tensor  # the same over all learnt tokens, special ones too
    tokens: Tensor

    @property
    def mean(self) -> Tensor:
        """Log p a token."""
        return self.logp / self.count.clamp(min=1)


def score(model: Any, batch: Batch, mask_formatting: bool) -> Scored:
    """One pass over packed sequences. mask_formatting: leave special tokens out of `logp`."""
    logits = model(
        input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False
    ).logits
    ahead = batch["targets"][:, 1:]
    learnt = ahead != IGNORED
    here = logits[:, :-1][learnt]
    here = here.to(torch.promote_types(here.dtype, torch.float32)).log_softmax(dim=-1)
    token = here.gather(-1, ahead[learnt][:, None])[:, 0]
    owner = batch["sequence"][:, 1:][learnt]
    ones = torch.ones_like(token)
    plain = (~batch["formatting"][:, 1:][learnt]).to(token.dtype) if mask_formatting else ones
    rows, size = len(batch["row"]), len(batch["last"])

    def summed(values: Tensor) -> Tensor:
        return token.new_zeros(size).index_add(0, owner, values).view(rows, -1)

    every, tokens = summed(token), summed(ones)
    if not mask_formatting:
        return Scored(every, tokens, every, tokens)
    return Scored(summed(token * plain), summed(plain), every, tokens)


def others(batch: Batch) -> Batch:
    """The sequences of a micro-batch that are packed apart; {} where it has none."""
    head = f"{OTHER}."
    found = {n.removeprefix(head): array for n, array in batch.items() if n.startswith(head)}
    return {**found, "row": batch["row"]} if found else {}


def all_logp(model: Any, batch: Batch, mask_formatting: bool) -> Tensor:
    """Sums of log p [rows, sequences], of those that are packed apart too."""
    found = score(model, batch, mask_formatting).logp
    if apart := others(batch):
        found = torch.cat([found, score(model, apart, mask_formatting).logp], dim=1)
    return found


def strayed(model: Any, batches: Sequence[Batch], mask_formatting: bool) -> Tensor:
    """Sum of the ratios of the rows' other answers, and how many they are: [2], float64."""
    found = []
    for batch in batches:
        ratio = score(model, others(batch), mask_formatting).logp - batch["reference"][:, 1:]
        real = (batch["weight"] > 0).double()
        found.append(torch.stack([(ratio[:, 0].double() * real).sum(), real.sum()]))
    return torch.stack(found).sum(0)


def distance(total: Tensor) -> Tensor:
    """KTO's z0 of what `strayed` gives."""
    return (total[0] / total[1]).clamp(min=0)


@dataclass(frozen=True, slots=True)
class PreferenceObjective:
    """The loss of a preference stage."""

    spec: Preference

    def __call__(self, model: Any, batch: Batch, counted: Tensor | None) -> Loss:
        found = score(model, batch, self.spec.mask_formatting)
        reference = batch.get("reference")
        rows, rewards = per_row(self.spec, found, batch, reference)
        nats = -found.every[:, 0] / found.tokens[:, 0].clamp(min=1)
        if isinstance(self.spec, Kto):
            nats = nats * batch["column.good"]
        weight = batch["weight"]
        total = (weight * (rows + self.spec.nll * nats)).sum()
        metrics = {"nll": _mean(nats.detach(), weight), **_told(self.spec, rewards, batch)}
        return Loss(total, metrics)


def per_row(
    spec: Preference, found: Scored, batch: Batch, reference: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The loss of each row, without the NLL term, and its implicit rewards, detached: [n, 2], of
    KTO [n, 1]."""
    if isinstance(spec, Simpo):
        rewards = spec.beta * found.mean
        chosen, rejected = found.mean.unbind(1)
        return losses.simpo(chosen, rejected, spec.beta, spec.gamma), rewards.detach()
    if isinstance(spec, Orpo):
        rewards = spec.beta * found.mean
        chosen, rejected = found.mean.unbind(1)
        return spec.beta * losses.orpo(chosen, rejected), rewards.detach()
    assert reference is not None
    if isinstance(spec, Kto):
        ratio = found.logp - reference[:, :1]
        good, z0 = batch["column.good"] > 0.5, batch["z0"].to(ratio.dtype)
        rows = losses.kto(ratio[:, 0], good, z0, spec.beta, spec.desirable, spec.undesirable)
        return rows, spec.beta * ratio.detach()
    ratio = found.logp - reference
    chosen, rejected = ratio.unbind(1)
    if isinstance(spec, Dpo):
        rows = losses.dpo(chosen, rejected, spec.beta, spec.label_smoothing)
        return rows, spec.beta * ratio.detach()
    if isinstance(spec, Ipo):
        mean = ratio / found.count.clamp(min=1)
        chosen, rejected = mean.unbind(1)
        return losses.ipo(chosen, rejected, spec.beta), spec.beta * mean.detach()
    assert isinstance(spec, Rpo)
    margin = batch[f"column.{spec.chosen}"] - batch[f"column.{spec.rejected}"]
    rows = losses.rpo(chosen, rejected, margin, spec.beta, spec.eta, spec.distance)
    return rows, spec.beta * ratio.detach()


def _told(spec: Preference, rewards: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Implicit rewards for the log."""
    weight = batch["weight"]
    if isinstance(spec, Kto):
        good = batch["column.good"] > 0.5
        own = rewards[:, 0]
        return {
            "reward_chosen": _mean(own, weight * good),
            "reward_rejected": _mean(own, weight * ~good),
            "kl": batch["z0"],
        }
    chosen, rejected = rewards.unbind(1)
    return {
        "reward_chosen": _mean(chosen, weight),
        "reward_rejected": _mean(rejected, weight),
        "margin": _mean(chosen - rejected, weight),
        "accuracy": _mean((chosen > rejected).to(chosen.dtype), weight),
    }


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1e-9)
