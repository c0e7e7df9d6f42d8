"""The objective of reward models: rewards at the last token of each packed sequence.

In: micro-batches of train.data.examples, a model whose forward pass gives [sequences, heads]. Out:
train.trainer.Loss, a mean over the rows of a step. Shown by: `use: train, kind: reward`.
Limit: the first head is the reward; those of grades follow it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from train.losses import reward as losses
from train.spec.losses.reward import Attributes, BradleyTerry, RewardLoss, SoftLabel
from train.trainer import Batch, Loss


@dataclass(frozen=True, slots=True)
class RewardObjective:
    """The loss of a reward stage."""

    spec: RewardLoss

    def __call__(self, model: Any, batch: Batch, counted: Tensor | None) -> Loss:
        values = model(
            input_ids=batch["input_ids"], position_ids=batch["position_ids"], last=batch["last"]
        )
        values = values.to(torch.promote_types(values.dtype, torch.float32))
        rows = len(batch["row"])
        values = values.view(rows, -1, values.shape[-1])
        there = (batch["last"] >= 0).view(rows, -1)
        losses_of: dict[type[RewardLoss], Callable[..., Tensor]] = {
            BradleyTerry: bradley_terry,
            SoftLabel: soft_label,
            Attributes: attributes,
        }
        per_row = losses_of[type(self.spec)](self.spec, values, there, batch)
        weight = batch["weight"]
        return Loss((weight * per_row).sum(), _told(self.spec, values.detach(), weight, per_row))


def bradley_terry(spec: BradleyTerry, values: Tensor, there: Tensor, batch: Batch) -> Tensor:
    """Of chosen and rejected, or of edited, chosen and rejected."""
    rewards = values[..., 0]
    margin = batch[f"column.{spec.margin}"] if spec.margin else None
    rows = losses.ranked(rewards, there, margin)
    return rows + spec.center * losses.centre(rewards[:, -2], rewards[:, -1])


def soft_label(spec: SoftLabel, values: Tensor, there: Tensor, batch: Batch) -> Tensor:
    """Towards the level's probability; grades have the heads behind the reward's."""
    target = values.new_tensor(spec.targets)[batch[f"column.{spec.level}"].long() - 1]
    rows = losses.soft_label(values[:, 0, 0], values[:, 1, 0], target)
    terms = []
    first = 1
    for name, levels in spec.grades.items():
        heads = slice(first, first + levels)
        for side, part in (("chosen", 0), ("rejected", 1)):
            terms.append(losses.grading(values[:, part, heads], batch[f"column.{side}_{name}"]))
        first += levels
    if terms:
        rows = rows + spec.grading * torch.stack(terms).mean(dim=0)
    return rows


def attributes(spec: Attributes, values: Tensor, there: Tensor, batch: Batch) -> Tensor:
    """A head an attribute."""
    rated = torch.stack([batch[f"column.{name}"] for name in spec.columns], dim=-1)
    return losses.attributes(values[:, 0], rated)


def _told(spec: RewardLoss, values: Tensor, weight: Tensor, rows: Tensor) -> dict[str, Tensor]:
    """For the log."""
    total = weight.sum().clamp(min=1e-9)
    if isinstance(spec, Attributes):
        return {"squared_error": (weight * rows.detach()).sum() / total}
    chosen, rejected = values[:, -2, 0], values[:, -1, 0]
    right = (chosen > rejected).to(values.dtype)
    return {
        "accuracy": (weight * right).sum() / total,
        "margin": (weight * (chosen - rejected)).sum() / total,
        "reward": (weight * (chosen + rejected) / 2).sum() / total,
    }
