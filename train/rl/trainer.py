"""StageTrainer whose micro-batches the policy itself has written.

In: items that name prompts. Out: steps over judged samples. Shown by: any `use: train, kind: rl`.
Limit: writing and learning take turns; nothing is written while the weights change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from train.ranks import summed
from train.rl.held import Held
from train.rl.judged import sum_of
from train.rl.rollout import Rollouts
from train.trainer import Batch, StageTrainer

CHECKPOINTS = "checkpoint-*"


class PolicyTrainer(StageTrainer):
    """The samples of a step are written when its items are taken: after the step before it."""

    def __init__(
        self,
        *args: Any,
        rollouts: Rollouts,
        folder: Path,
        close: Callable[[], None],
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.rollouts, self._close = rollouts, close
        self._held = Held(folder, self.args.process_index)
        self._now: tuple[int, list[Batch]] | None = None

    def train(self, *args: Any, **options: Any) -> Any:
        """The stage; what wrote its samples is freed, however it ends."""
        try:
            return super().train(*args, **options)
        finally:
            self._close()

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], torch.Tensor]:
        """The step's micro-batches and the tokens that count in it, on all ranks."""
        items = [next(epoch_iterator) for _ in range(num_batches)]
        batches = self._batches(items)
        tokens = summed(sum_of([batch["mask"].sum() for batch in batches]))
        return batches, tokens.clamp(min=1)

    def _batches(self, items: list[Batch]) -> list[Batch]:
        number, part = divmod(self.state.global_step, self.rollouts.spec.updates)
        if self._now is not None and self._now[0] == number:
            return self._now[1]
        if part:  # the stage goes on between two steps over the same samples
            batches = self._held.load(number, self.model.device)
        else:
            batches = self.rollouts(self.model, number, items, self.args.world_size)
            if self.rollouts.spec.updates > 1:
                self._held.save(number, batches)
                self._held.forget(self._oldest() // self.rollouts.spec.updates)
        self._now = number, batches
        return batches

    def _oldest(self) -> int:
        """The step of the oldest checkpoint; 0 where there is none."""
        folders = Path(self.args.output_dir).glob(CHECKPOINTS)
        steps = [folder.name.rpartition("-")[2] for folder in folders]
        return min((int(step) for step in steps if step.isdecimal()), default=0)
