"""The loop that all kinds share: from an opened stage to its weights, log and facts.

In: a job and its opened stage. Out: a trained model, a log, facts. Shown by: any `use: train`.
Limit: transformers.Trainer does the steps.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.utils import logging as transformers_logging

from gristmill.file_sets import BESIDE
from train.data.plan import PlanBatches
from train.job import Job
from train.kinds.stage import Stage
from train.loop import checkpoints
from train.loop.arguments import checkpoints as checkpoints_of
from train.loop.arguments import sharded, stage_arguments
from train.loop.averages import Averager, Weights, open_average
from train.loop.curves import draw
from train.loop.guard import Watchdog
from train.loop.held_out import HeldRows
from train.loop.logs import FILE, Log, log_table, read_lines
from train.loop.optim import open_optimizer
from train.loop.optim_state import carry_state, save_state
from train.loop.places import Every, points
from train.loop.schedule import curve
from train.loop.speed import flops_per_token, peak
from train.loop.watch import Run, Watch
from train.trainer import StageTrainer

BY_ROWS = ("reward", "preference")  # kinds whose loss is a mean over rows, not over labels


class Loop:
    """One run of a stage's trainer."""

    def __init__(
        self, job: Job, stage: Stage, advance: Callable[[int], None], say: Callable[[str], None]
    ) -> None:
        self.job, self.stage = job, stage
        self.work = Path(job.work)
        self.work.mkdir(parents=True, exist_ok=True)
        transformers_logging.disable_progress_bar()
        self._use_cache = stage.model.config.use_cache  # Trainer turns it off, for good
        batches, step = stage.batches, job.step
        self._watchdog = Watchdog(step.guard, batches.named)
        self._optimizer = self._open_optimizer()
        arguments = stage_arguments(job, stage)
        self._trainer = self._make(arguments)
        self.first_rank = self._trainer.is_world_process_zero()
        self.run = self._watch(advance, say)
        self._trainer.add_callback(Watch(self.run))
        self._trainer.remove_callback(PrinterCallback)
        self.notes: list[str] = []

    def _open_optimizer(self) -> torch.optim.Optimizer:
        init, spec = self.job.step.init, self.job.step.optim
        optimizer = open_optimizer(self.stage.model, spec)
        if init.optimizer == "carry":
            assert init.from_ is not None  # Init refuses it
            folder = self.job.model_folder(init.from_)
            carry_state(optimizer, spec.name, folder, str(init.from_))
        return optimizer

    def _make(self, arguments: dict[str, Any]) -> Trainer:
        batches, step = self.stage.batches, self.job.step
        rate = curve(step.schedule, batches.before(batches.steps))

        def at(number: int) -> float:
            """Of step `number`, from 0; Trainer asks for one past the end too."""
            number = min(number, batches.steps - 1)
            return rate((batches.before(number) + batches.before(number + 1)) / 2)

        given: dict[str, Any] = {
            "model": self.stage.model,
            "train_dataset": batches,
            "data_collator": _only,
            "optimizers": (self._optimizer, LambdaLR(self._optimizer, at)),
            "watchdog": self._watchdog,
        }
        if self.stage.trainer is not None:
            return self.stage.trainer(arguments, given)
        assert self.stage.objective is not None
        return StageTrainer(
            args=TrainingArguments(**arguments),
            objective=self.stage.objective,
            sources=batches.sources if isinstance(batches, PlanBatches) else (),
            by_tokens=step.kind not in BY_ROWS,
            **given,
        )

    def _watch(self, advance: Callable[[int], None], say: Callable[[str], None]) -> Run:
        step, batches, model = self.job.step, self.stage.batches, self.stage.model
        at = (batches.steps, batches.before)
        first, spec = self.first_rank, step.held_out
        highest = peak(self._trainer.args.device) if batches.unit == "tokens" else None
        flops = None
        if highest is not None and isinstance(batches, PlanBatches):
            seq = max(segment.seq for segment in batches.plan.segments)
            flops = flops_per_token(model, seq) / (highest * step.run.ranks)
        return Run(
            batches=batches,
            log=Log(self.work),
            watchdog=self._watchdog,
            saves=Every(step.run.save_every, "run.save_every", *at),
            log_every=step.run.log_every,
            first_rank=first,
            advance=advance if first else lambda _: None,
            say=say if first else lambda _: None,
            weights=self._weights,
            flops=flops,
            held=HeldRows(self.job, spec) if spec else None,
            held_at=Every(spec.every, "held_out.every", *at) if spec else None,
            average=self._average(),
            trainer=self._trainer,
        )

    def _average(self) -> Averager | None:
        spec, batches = self.job.step.average, self.stage.batches
        if spec is None:
            return None
        every = (spec.every, "average.every", batches.steps, batches.before)
        steps = points(spec.last, *every) if spec.kind == "uniform" else ()
        return open_average(spec, steps, self.work / "points")

    def _weights(self) -> Weights:
        """What learns, by name; whole, also where each rank holds a part."""
        learning = {n for n, p in self.stage.model.named_parameters() if p.requires_grad}
        if not sharded(self.job):
            named = dict(self.stage.model.named_parameters())
            return {name: named[name].detach() for name in sorted(learning)}
        whole = self._trainer.accelerator.get_state_dict(self._trainer.model)
        return {name: whole[name] for name in sorted(learning) if name in whole}

    def train(self) -> None:
        """Go on from the newest whole checkpoint, or begin."""
        home = checkpoints_of(self.job)
        if self.first_rank:
            self.notes += checkpoints.sweep(home)
        self._wait()
        found = checkpoints.newest(home)
        if self.first_rank:
            self.run.log.begin(checkpoints.step_of(found) if found else 0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries, about each other
            self._trainer.train(resume_from_checkpoint=str(found) if found else None)

    def _wait(self) -> None:
        self._trainer.accelerator.wait_for_everyone()

    def finished(self) -> dict[str, torch.Tensor] | None:
        """The weights to save, if they are not those of the model: averaged, or gathered.

        All ranks call it.
        """
        self.stage.model.config.use_cache = self._use_cache
        average = self.run.average
        if average is None and not sharded(self.job):
            return None
        weights = self._weights()
        ...
