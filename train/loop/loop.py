"""The loop that all kinds share: from an opened stage to its weights, log and facts.

In: a job and its opened stage. Out: a trained model, a log, facts. Shown by: any `use: train`.
Limit: transformers.Trainer does the steps.
"""

from __future__ import annotations

import gc
import json
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel, PrinterCallback, Trainer
from transformers.integrations import get_reporting_integration_callbacks

from gristmill.file_sets import BESIDE
from gristmill.stopping import Interrupted
from train.data.plan import PlanBatches
from train.job import Job
from train.kinds.stage import Stage
from train.loop import checkpoints
from train.loop.arguments import TENSORBOARD, sharded, stage_arguments
from train.loop.arguments import checkpoints as checkpoints_of
from train.loop.averages import Averager, Weights, open_average
from train.loop.conditions import Conditions
from train.loop.curves import draw
from train.loop.guard import Watchdog
from train.loop.held_out import HeldRows
from train.loop.logs import FILE, Log, log_table, read_lines
from train.loop.optim import open_optimizer
from train.loop.optim_state import carry_state, save_state, state_of
from train.loop.places import Every, points
from train.loop.schedule import curve
from train.loop.sharding import filled, outline, whole
from train.loop.speed import mfu_of_rate
from train.loop.told import notes_of
from train.loop.watch import Run, Watch
from train.losses.cross_entropy import CrossEntropy
from train.losses.fused import fuse
from train.trainer import Objective, StageTrainer
from train.weights.callbacks import weight_callbacks

BY_ROWS = ("reward", "preference")  # kinds whose loss is a mean over rows, not over labels


class Loop:
    """One run of a stage's trainer."""

    def __init__(
        self,
        job: Job,
        stage: Stage,
        tokenizer: Mapping[str, bytes],
        advance: Callable[[int], None],
        say: Callable[[str], None],
    ) -> None:
        self.job, self.stage, self._tokenizer = job, stage, tokenizer
        self.work = Path(job.work)
        self.work.mkdir(parents=True, exist_ok=True)
        self._use_cache = stage.model.config.use_cache  # Trainer turns it off, for good
        self._outline = outline(stage.model) if sharded(job) else None
        batches, step = stage.batches, job.step
        settings = f" (optim.lr {step.optim.lr:g}, clip {step.optim.clip:g}, {step.model.dtype})"
        self._watchdog = Watchdog(step.guard, batches.named, settings)
        self._optimizer = self._open_optimizer()
        self._trainer = self._make()
        self.first_rank = self._trainer.is_world_process_zero()
        self.run = self._watch(advance, say)
        for callback in weight_callbacks(job, stage.model):  # before Watch sees the weights
            self._trainer.add_callback(callback)
        self._trainer.add_callback(Watch(self.run))  # after those: it looks at what they leave
        for callback in get_reporting_integration_callbacks(list(job.step.run.log_to)):
            self._trainer.add_callback(callback)  # after it: they tell of the whole line
        self._trainer.remove_callback(PrinterCallback)
        self.notes: list[str] = []
        self._state: Weights = {}  # the optimiser's, at the end

    def _open_optimizer(self) -> torch.optim.Optimizer:
        init, spec = self.job.step.init, self.job.step.optim
        optimizer = open_optimizer(self.stage.model, spec)
        if init.optimizer == "carry":
            assert init.from_ is not None  # Init refuses it
            folder = self.job.model_folder(init.from_)
            carry_state(optimizer, spec.name, folder, str(init.from_))
        return optimizer

    def _make(self) -> Trainer:
        batches, step = self.stage.batches, self.job.step
        rate = curve(step.schedule, batches.before(batches.steps))

        def at(number: int) -> float:
            """Of step `number`, from 0; Trainer asks for one past the end too."""
            number = min(number, batches.steps - 1)
            return rate((batches.before(number) + batches.before(number + 1)) / 2)

        given: dict[str, Any] = {
            "args": stage_arguments(self.job, self.stage),
            "model": self.stage.model,
            "train_dataset": batches,
            "data_collator": _only,
            "optimizers": (self._optimizer, LambdaLR(self._optimizer, at)),
            "watchdog": self._watchdog,
        }
        if self.stage.trainer is not None:
            return self.stage.trainer(given)
        return StageTrainer(
            objective=self._objective(),
            sources=batches.sources if isinstance(batches, PlanBatches) else (),
            by_tokens=step.kind not in BY_ROWS,
            **given,
        )

    def _objective(self) -> Objective:
        """The stage's, or cross-entropy with what `model` and `run` say of it."""
        step = self.job.step
        if step.model.z_loss or step.run.fused_loss:  # train.checks: only with cross_entropy
            head = fuse(self.stage.model) if step.run.fused_loss else None
            return CrossEntropy(step.model.z_loss, head)
        assert self.stage.objective is not None
        return self.stage.objective

    def _watch(self, advance: Callable[[int], None], say: Callable[[str], None]) -> Run:
        step, batches, model = self.job.step, self.stage.batches, self.stage.model
        at = (batches.steps, batches.before)
        first, spec, ahead = self.first_rank, step.held_out, step.advance
        say = say if first else lambda _: None
        return Run(
            batches=batches,
            log=Log(self.work),
            watchdog=self._watchdog,
            saves=Every(step.run.save_every, "run.save_every", *at),
            log_every=step.run.log_every,
            first_rank=first,
            advance=advance if first else lambda _: None,
            say=say,
            weights=self._weights,
            mfu=mfu_of_rate(self.job, model, batches, self._trainer.args.device),
            held=HeldRows(self.job, spec) if spec else None,
            held_at=Every(spec.every, "held_out.every", *at) if spec else None,
            average=self._average(),
            conditions=Conditions(self.job, model, self._tokenizer, say) if ahead else None,
            looks=Every(ahead.every, "advance.every", *at) if ahead else None,
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
        if not sharded(self.job):
            named = dict(self.stage.model.named_parameters())
            return {name: p.detach() for name, p in sorted(named.items()) if p.requires_grad}
        return dict(sorted(whole(self.stage.model, self.first_rank, learning=True).items()))

    def train(self) -> None:
        """Go on from the newest whole checkpoint, or begin."""
        home = checkpoints_of(self.job)
        if self.first_rank:
            self.notes += checkpoints.sweep(home)
        self._wait()
        found = checkpoints.newest(home)
        checkpoints.check_form(found, sharded(self.job))
        if self.first_rank:
            self.run.log.begin(checkpoints.step_of(found) if found else 0)
        gc.freeze()  # what is imported stays: Trainer and a step's collections need not walk it
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of libraries, about each other
                self._trainer.train(resume_from_checkpoint=str(found) if found else None)
        finally:
            gc.unfreeze()
        if self.run.stopped is not None:
            done = f"{self.run.stopped:,} of {self.run.steps:,} steps"
            raise Interrupted(f"{self.job.step.name} after {done}, with a checkpoint")
        if self.run.conditions is not None and self.run.ended is None:
            self.notes.append(self.run.conditions.never_met(self.run.last))

    def _wait(self) -> None:
        self._trainer.accelerator.wait_for_everyone()

    def finished(self) -> PreTrainedModel:
        """The model as the stage leaves it: averaged, whole. All ranks call it."""
        average = self.run.average
        model = self.stage.model
        if self.job.step.run.keep_optimizer:
            self._state = state_of(self._optimizer, self.first_rank)
        if self._outline is not None:
            weights = whole(model, self.first_rank)
            if not self.first_rank:
                return model
            model = filled(self._outline, weights)
        if average is not None and self.first_rank:
            named = dict(model.named_parameters())
            weights = {name: p.detach() for name, p in named.items() if p.requires_grad}
            for name, tensor in average.result(weights).items():
                named[name].data.copy_(tensor)
        model.config.use_cache = self._use_cache
        return model

    def beside(self, folder: Path) -> None:
        """Files that go with the version and do not make it: spec, log, curves, optimiser."""
        home = folder / BESIDE
        home.mkdir(parents=True, exist_ok=True)
        spec = self.job.step.model_dump(mode="json", by_alias=True)
        (home / "spec.json").write_text(json.dumps(spec, indent=1) + "\n")
        shutil.copyfile(self.work / FILE, home / FILE)
        draw(read_lines(self.work / FILE), self.stage.batches.unit, home / "curves.png")
        if (self.work / TENSORBOARD).is_dir():
            shutil.copytree(self.work / TENSORBOARD, home / TENSORBOARD)
        if self.job.step.run.keep_optimizer:
            save_state(self._state, self.job.step.optim.name, folder)

    def log(self) -> pa.Table:
        """A row a line of the log."""
        return log_table(self.work / FILE)

    def facts(self) -> dict[str, Any]:
        """For the build record."""
        batches = self.stage.batches
        lines = read_lines(self.work / FILE)
        self.notes += notes_of(lines, self.job.step.kind)
        run, facts = self.run, {}
        if run.conditions is not None:
            facts["advance"] = {"met_at": run.ended, "before": run.start, "after": run.last}
        return {
            "steps": run.steps,
            batches.unit: batches.before(run.steps),
            "parameters": self.stage.model.num_parameters(),
            "loss": lines[-1]["loss"] if lines else None,
            **({"reward": lines[-1]["reward"]} if lines and "reward" in lines[-1] else {}),
            **facts,
        }


def _only(items: list[Any]) -> Any:
    """The micro-batch, as it is."""
    return items[0]
