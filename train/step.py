"""train: one stage, from a checkpoint (or random weights) and data to a checkpoint.

In: a mixture or rows, an initial model. Out: kind `model`, as `from_pretrained` reads it; `.log`,
a row an optimiser step. Shown by: `- {name: models/base, use: train, kind: pretrain, init: …, data:
mix/pretrain}`. Limit: one stage is one segment: ramps, shifts and anneals are inside, a change of
architecture or loss is another step.

The first build of a fingerprint wins (`sampled`): sums of floats differ between machines and
numbers of ranks. On one machine and process, the same recipe gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import field_serializer, field_validator

from gristmill.step import Ahead, Output, Phase, Resources, Step, StepRun, Task
from train import ahead_checks, checks
from train.evaluate.spec import TaskSpec
from train.job import Job
from train.spec import (
    Advance,
    Average,
    Guard,
    HeldOut,
    Init,
    LossSpec,
    ModelSpec,
    Optim,
    Rollout,
    Rows,
    Run,
    Schedule,
    parse_loss,
)
from train.spec.loss import DEFAULT

Kind = Literal["pretrain", "distill", "sft", "reward", "preference", "rl"]


class Train(Step):
    """One stage of training."""

    VERSION: ClassVar[int] = 1
    SAMPLED: ClassVar[bool] = True

    kind: Kind
    init: Init
    data: str | Rows  # a mixture, or rows
    model: ModelSpec = ModelSpec()
    teacher: str | tuple[str, ...] | None = None  # distill: models of the store, asked as one
    reference: str | None = None  # preference and rl; default: the model of `init`
    optim: Optim = Optim()
    schedule: Schedule = Schedule()
    loss: LossSpec | None = None  # default: cross_entropy, kd_top1, bradley_terry, dpo or grpo
    rollout: Rollout | None = None
    average: Average | None = None
    held_out: HeldOut | None = None
    advance: Advance | None = None
    guard: Guard = Guard()
    run: Run = Run()
    seed: int = 0

    @field_validator("loss", mode="before")
    @classmethod
    def _parse_loss(cls, entry: Any) -> LossSpec | None:
        return None if entry is None else parse_loss(entry)

    @field_serializer("loss")
    def _dump_loss(self, loss: LossSpec | None) -> dict[str, Any]:
        chosen = loss or self.objective
        return {chosen.NAME: chosen.model_dump(mode="json")}

    @property
    def objective(self) -> LossSpec:
        """The loss, or the default of the kind."""
        return self.loss or parse_loss(DEFAULT[self.kind])

    @property
    def teachers(self) -> list[str]:
        """Models that are asked while training; several are an ensemble."""
        return [self.teacher] if isinstance(self.teacher, str) else list(self.teacher or ())

    def _tasks(self) -> list[TaskSpec]:
        return list(self.advance.tasks.values()) if self.advance else []

    def inputs(self) -> list[str]:
        refs = self.init.datasets()
        refs += [self.data] if isinstance(self.data, str) else list(self.data.rows)
        refs += [*self.teachers, *([self.reference] if self.reference else [])]
        refs += [self.optim.merge.base] if self.optim.merge else []
        refs += [self.held_out.data] if self.held_out else []
        refs += [r.model for r in self.rollout.rewards if r.model] if self.rollout else []
        refs += [ref for task in self._tasks() for ref in task.inputs()]
        return list(dict.fromkeys(refs))

    def files(self) -> list[str]:
        found = self.init.files() + (self.data.files() if isinstance(self.data, Rows) else [])
        return found + [file for task in self._tasks() for file in task.files()]

    def limited(self) -> bool:
        return False

    def packages(self) -> list[str]:
        asked = [name for task in self._tasks() for name in task.packages()]
        asked += ["vllm"] if self.rollout and self.rollout.engine == "vllm" else []
        return ["torch", "transformers", *(["peft"] if self.model.lora else []), *asked]

    def config(self) -> dict[str, Any]:
        found = super().config()
        del found["run"]
        return found

    def check(self) -> None:
        checks.check_stage(self)

    def check_recipe(self, ahead: Ahead) -> None:
        ahead_checks.check_recipe(self, ahead)

    def forecast(self, ahead: Ahead) -> dict[str, Any]:
        from train.forecast import forecast

        return forecast(self, ahead).as_dict()

    def outputs(self) -> dict[str, Output]:
        return {
            "": Output("model", "weights, config and tokenizer, as `from_pretrained` reads them"),
            ".log": Output("rows", "what each optimiser step saw and cost"),
        }

    def phases(self, run: StepRun) -> Iterator[Phase]:
        checks.check_kinds(self, {r: d.manifest["kind"] for r, d in run.inputs.items()})
        for note in checks.told(self, run):
            run.note(note)
        folder = None
        if isinstance(self.data, Rows):
            from train.data import prepare  # tokenizers, no torch

            yield from prepare.row_phases(self, run)
            folder = str(run.records(prepare.JOIN)[0].path(prepare.FOLDER))
            rows, notes = prepare.account(run.records(prepare.ROWS))
            for note in notes:
                run.note(note)
        job = Job(self, str(run.store.path), refs(run), str(run.staging / "work"), folder)
        from train.task import train  # imports torch when it runs, not now

        yield Phase(
            "train",
            [Task("train", train, {"job": job}, checks.steps(self, run, folder))],
            Resources(cpus=self.run.threads or 1),
            unit="steps",
            workers=1,  # a model fills the machine
            saves=True,
        )
        made = run.records("train")[0].value
        run.facts.update(made["facts"])
        if folder is not None:
            run.facts["rows"] = {**rows, "trained": made["facts"].get("rows")}
        for note in made["notes"]:
            run.note(note)


def refs(run: StepRun) -> dict[str, str]:
    """Reference as the recipe writes it -> exact version."""
    return {name: dataset.ref for name, dataset in run.inputs.items()}
