"""Kind preference with the loss kto: z0 is measured before a step, over all of its rows.

In: the micro-batches of an optimiser step. Out: `z0` beside each, the same on every rank.
Shown by: `use: train, kind: preference, loss: kto`.
Limit: a second pass a step, without gradients, over each prompt with another row's answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from train.losses.sequences import PreferenceObjective, distance, strayed
from train.ranks import summed
from train.spec.losses.preference import Kto
from train.trainer import Batch, StageTrainer


class KtoTrainer(StageTrainer):
    """A step knows how far the policy is from the reference before it learns."""

    objective: PreferenceObjective

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], torch.Tensor | None]:
        batches, counted = super().get_batch_samples(epoch_iterator, num_batches, device)
        batches = [{name: each.to(device) for name, each in batch.items()} for batch in batches]
        with self.compute_loss_context_manager():
            spec = self.objective.spec
            assert isinstance(spec, Kto)  # whose stage this is
            measure(self.model, batches, spec)
        return batches, counted


def measure(model: Any, batches: Sequence[Batch], spec: Kto) -> None:
    """Add `z0` to the micro-batches of a step: those of this rank, measured with those of all."""
    training = model.training
    model.eval()
    with torch.no_grad():
        z0 = distance(summed(strayed(model, batches, spec.mask_formatting)))
    model.train(training)
    for batch in batches:
        batch["z0"] = z0
