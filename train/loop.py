"""The loop that all kinds share: arguments, schedule, checkpoints, log, guard, averages.

In: a job and its opened stage. Out: a trained model, a log, facts. Shown by: any `use: train`.
Limit: transformers.Trainer does the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from transformers import PreTrainedModel, Trainer, TrainingArguments

from mixtures.plan.adapters import TRAINER
from train.job import Job
from train.kinds.stage import Stage
from train.trainer import StageTrainer


class Loop:
    """One run of a stage's trainer."""

    def __init__(
        self, job: Job, stage: Stage, advance: Callable[[int], None], say: Callable[[str], None]
    ) -> None:
        self.job, self.stage = job, stage
        self.advance, self.say = advance, say
        self.notes: list[str] = []
        self.first_rank = True
        self._trainer = self._make()

    def _make(self) -> Trainer:
        step = self.job.step
        arguments: dict[str, Any] = {
            **TRAINER,
            "output_dir": str(Path(self.job.work) / "checkpoints"),
            "per_device_train_batch_size": 1,
            "gradient_accumulation_steps": self.stage.batches.per_step // step.run.ranks,
            "max_steps": self.stage.batches.steps,
            "learning_rate": step.optim.lr,
            "weight_decay": step.optim.weight_decay,
            "max_grad_norm": step.optim.clip,
            "save_strategy": "no",
            "report_to": [],
            "use_cpu": step.run.device == "cpu",
            "disable_tqdm": True,
            "logging_steps": step.run.log_every,
        }
        given: dict[str, Any] = {
            "model": self.stage.model,
            "train_dataset": self.stage.batches,
            "data_collator": _only,
        }
        if self.stage.trainer is not None:
            return self.stage.trainer(arguments, given)
        assert self.stage.objective is not None
        return StageTrainer(
            args=TrainingArguments(**arguments), objective=self.stage.objective, **given
        )

    def train(self) -> None:
        """Go on from the newest whole checkpoint, or begin."""
        self._trainer.train()

    def finished(self) -> PreTrainedModel:
        """The model as the stage leaves it: averaged, adapters merged."""
        return self.stage.model

    def log(self) -> pa.Table:
        """A row an optimiser step."""
        lines = [line for line in self._trainer.state.log_history if "loss" in line]
        return pa.Table.from_pylist(
            [{"step": line["step"], "loss": float(line["loss"])} for line in lines],
            pa.schema([("step", pa.int64()), ("loss", pa.float64())]),
        )

    def facts(self) -> dict[str, Any]:
        """For the build record."""
        return {"steps": self.stage.batches.steps, "parameters": self.stage.model.num_parameters()}


def _only(items: list[Any]) -> Any:
    """The micro-batch, as it is."""
    return items[0]
