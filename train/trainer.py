"""The trainer of all kinds: transformers' own, over micro-batches that are pure functions.

In: Batches and an Objective. Out: trained weights, and what each step saw.
Shown by: any `use: train`. Limit: one loss a stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import distributed
from torch.distributed.tensor import DTensor
from transformers import Trainer

from train.loop.guard import Watchdog
from train.loop.items import Items
from train.loop.meter import Meter
from train.loop.optim_state import give_back, lifted
from train.loop.sharding import share

Batch = dict[str, torch.Tensor]
IGNORED = -100  # the label of a place that is not counted


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
        """Tensors: int64 input_ids, labels, position_ids [b, seq]; what else the loss needs.

        `source`, int64[b], numbers the source of each row, for a loss by source.
        """

    def before(self, step: int) -> int:
        """Tokens (of a mixture, padding among them) or rows that steps before `step` have taken."""

    def named(self, step: int) -> list[str]:
        """The rows of a step, for people: `source/document id`."""


@dataclass(slots=True)
class Loss:
    """A loss and what is worth a line of the log beside it."""

    total: torch.Tensor  # mean over what the objective counts in this micro-batch
    metrics: Mapping[str, float | torch.Tensor] = field(default_factory=dict)
    # Of each row: nats and how many labels they are of [b], for a loss by source.
    rows: tuple[torch.Tensor, torch.Tensor] | None = None


class Objective(Protocol):
    """(model, batch) -> Loss. `counted`: labels in all micro-batches and ranks of the step, by
    which a token mean is divided; None where the loss is a mean over rows."""

    def __call__(self, model: Any, batch: Batch, counted: torch.Tensor | None) -> Loss: ...


class StageTrainer(Trainer):  # type: ignore[misc]  # transformers is not read by mypy
    """transformers.Trainer that takes its items and its loss from a stage.

    `by_tokens`: whether the loss is a mean over the labels of the step, else over rows.
    """

    control: Any
    optimizer: Any

    def __init__(
        self,
        *args: Any,
        optimizers: tuple[Any, Any],
        objective: Objective,
        sources: Sequence[str] = (),
        by_tokens: bool = True,
        watchdog: Watchdog | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.optimizer, self.lr_scheduler = optimizers  # as an argument, FSDP would refuse them
        self.objective, self.by_tokens, self.watchdog = objective, by_tokens, watchdog
        self.loss_is_scaled_for_ga = True  # by compute_loss below
        self.meter = Meter(sources)

    def create_accelerator_and_postprocess(self) -> None:
        """Trainer's own; then ranks share the weights on a CPU too."""
        super().create_accelerator_and_postprocess()
        self.is_fsdp_enabled = share(self.accelerator, self.args)

    def get_train_dataloader(self) -> Any:
        """This rank's items from the step on that the run goes on at; none before are touched."""
        rank, world = self.args.process_index, self.args.world_size

        def first() -> int:  # known when the items are asked for, not before
            return int(self.state.global_step) * self.args.gradient_accumulation_steps * world

        return Items(self.train_dataset, first, rank, world, self.args.device.type == "cuda")

    def _prepare_for_training(self, steps: int, items: Any, checkpoint: str | None) -> Any:
        """Trainer's own, with two repairs. A single process needs nothing of accelerate's wrapper,
        which looks for another package's files twice a step. And accelerate gives an optimiser the
        parameters that ranks share, but not the state of those that were there before."""
        carried = lifted(self.optimizer) if self.is_fsdp_enabled else {}
        prepared = super()._prepare_for_training(steps, items, checkpoint)
        if checkpoint is None:
            give_back(self.optimizer, carried)
        if self.args.world_size == 1:
            self.optimizer = self.optimizer.optimizer
        return prepared

    def compute_loss(
        self,
        model: Any,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:
        found = self.objective(model, inputs, num_items_in_batch)
        self.meter.see(found.metrics, found.rows, inputs)
        if num_items_in_batch is None:
            total = found.total / self.current_gradient_accumulation_steps
        else:
            total = found.total * self.args.world_size  # ranks' gradients are averaged
        self.meter.loss = self.meter.loss + total.detach()
        return (total, {}) if return_outputs else total

    def _get_num_items_in_batch(
        self, batch_samples: list[Batch], device: torch.device
    ) -> torch.Tensor | None:
        """Labels that count in the whole step, on all ranks."""
        if not self.by_tokens or not batch_samples:
            return None
        counted = sum((b["labels"][:, 1:] != IGNORED).sum() for b in batch_samples)
        total = torch.as_tensor(counted)
        if self.args.world_size > 1:
            total = total.to(device)
            distributed.all_reduce(total)
        if self.watchdog is not None:  # before it is sent: a GPU is not waited for
            self.watchdog.check_labels(self.state.global_step, int(total))
        return total.to(device)

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """The norm before clipping; a step that is no number ends the run before its update."""
        norm = super()._get_grad_norm(model, grad_norm)
        if isinstance(norm, DTensor):
            norm = norm.full_tensor()  # else it is this rank's part
        if self.watchdog is not None:
            self.watchdog.check_numbers(self.state.global_step, float(self.meter.loss), float(norm))
        self.meter.loss = 0.0
        return norm

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """What Trainer logs of a step, and what the objective told of it.

        Trainer's own keeps all lines, and writes them into every checkpoint.
        """
        if "loss" in logs:
            logs |= self.meter.take(self.args.device)
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, logs)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Weights under the names that the modules have.

        Trainer's own writes published names (each expert of a Mixtral apart), but reads by those of
        the modules, so that a run would go on with new experts, and say nothing.
        """
        model = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        folder = output_dir or self.args.output_dir
        model.save_pretrained(folder, state_dict=state_dict, save_original_format=False)

    def floating_point_ops(self, inputs: Any) -> int:
        """Trainer's own walks over all parameters at each micro-batch; train.loop.speed counts."""
        return 0
