"""The trainer of all kinds but rl: transformers' own, over micro-batches that are pure functions.

In: Batches and an Objective. Out: trained weights; checkpoints and a log on the way.
Shown by: any `use: train`. Limit: one loss a stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from transformers import Trainer

Batch = dict[str, torch.Tensor]


class Batches(Protocol):
    """Map-style: item i is a whole micro-batch, a pure function of (data, seed, i).

    Step s has the items [s * per_step, (s + 1) * per_step); per_step is ranks times accumulation.
    Whatever per_step is, a step has the same rows.
    """

    per_step: int
    steps: int
    unit: str  # of `before`: "tokens" or "rows"

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> Batch:
        """Tensors: int64 input_ids, labels, position_ids [b, seq]; what else the loss needs."""

    def before(self, step: int) -> int:
        """Tokens (of a mixture, padding among them) or rows that steps before `step` have taken."""

    def named(self, step: int) -> list[str]:
        """The rows of a step, for people: `source/document id`."""


@dataclass(slots=True)
class Loss:
    """A loss and what is worth a line of the log beside it."""

    total: torch.Tensor  # mean over what the objective counts in this micro-batch
    metrics: Mapping[str, float | torch.Tensor] = field(default_factory=dict)


class Objective(Protocol):
    """(model, batch) -> Loss. `counted`: labels in all micro-batches and ranks of the step, by
    which a token mean is divided; None where the loss is a mean over rows."""

    def __call__(self, model: Any, batch: Batch, counted: torch.Tensor | None) -> Loss: ...


class StageTrainer(Trainer):  # type: ignore[misc]
    """transformers.Trainer that takes its loss from an objective."""

    def __init__(self, *args: Any, objective: Objective, **options: Any) -> None:
        super().__init__(*args, **options)
        self.objective = objective

    def compute_loss(
        self,
        model: Any,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:
        found = self.objective(model, inputs, num_items_in_batch)
        return (found.total, {}) if return_outputs else found.total
