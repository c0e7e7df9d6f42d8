"""evaluate: what models can do, measured.

In: models, and data that they have not seen. Out: a row a score, with its interval; `.samples`,
what each score comes from; `.pictures`. Shown by: `- {name: eval/base, use: evaluate, model:
models/base, tasks: [{loss: mix/valid}]}`. Limit: one model at a time, in one process.

The first build of a fingerprint wins (`sampled`): sums of floats differ between machines. On one
machine, the same recipe gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field, field_serializer, field_validator, model_validator

from gristmill.errors import RecipeError
from gristmill.step import Ahead, Output, Phase, Resources, Step, StepRun, Task
from mixtures.tokens.tokenizer_sources import Hub, Source, check_source, dataset_of
from train.evaluate.results import COLUMNS, Label
from train.evaluate.spec import TaskSpec, parse_task
from train.spec.init import model_files

MEASURE, DRAW = "measure", "draw"


class Evaluate(Step):
    """Measure models by tasks."""

    VERSION: ClassVar[int] = 2
    SAMPLED: ClassVar[bool] = True

    models: tuple[Source, ...]  # of the store, ./folders, or {hub, revision}; `model` names one
    tasks: tuple[TaskSpec, ...]
    labels: dict[str, Label] = Field(
        default_factory=dict
    )  # columns of every row: {arm: raw, seed: 1}
    dtype: Literal["float32", "bfloat16"] = "float32"
    batch_tokens: int = Field(8192, ge=1)  # of a forward pass, padding among them
    device: str = "auto"
    threads: int | None = Field(None, ge=1)
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _one_model(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "model" not in given:
            return given
        if "models" in given:
            raise RecipeError("write `model: NAME` or `models: [NAME, …]`, not both")
        rest = {key: value for key, value in given.items() if key != "model"}
        return {**rest, "models": [given["model"]]}

    @field_validator("models", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("tasks", mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple) or not value:
            raise RecipeError(f"tasks is {value!r:.80}; give a list: [{{loss: mix/valid}}, copy]")
        return tuple(parse_task(entry) for entry in value)

    @field_serializer("tasks")
    def _dump(self, tasks: tuple[TaskSpec, ...]) -> list[Any]:
        return [task.as_entry() for task in tasks]

    @field_validator("labels")
    @classmethod
    def _labels(cls, value: dict[str, Label]) -> dict[str, Label]:
        for name in value:
            if name in COLUMNS:
                raise RecipeError(f"label {name!r}: the rows have a column of that name; rename it")
        return value

    def inputs(self) -> list[str]:
        refs = [ref for model in self.models if (ref := dataset_of(model))]
        refs += [ref for task in self.tasks for ref in task.inputs()]
        return list(dict.fromkeys(refs))

    def files(self) -> list[str]:
        found = [file for model in self.models for file in model_files(model)]
        return found + [file for task in self.tasks for file in task.files()]

    def limited(self) -> bool:
        return False

    def packages(self) -> list[str]:
        own = ["torch", "transformers"]
        return own + [name for task in self.tasks for name in task.packages()]

    def config(self) -> dict[str, Any]:
        found = super().config()
        for key in ("batch_tokens", "device", "threads"):
            del found[key]
        return found

    def check(self) -> None:
        if not self.models:
            raise RecipeError("models is empty; name at least one: `model: models/base`")
        for model in self.models:
            if isinstance(model, Hub):
                check_source(model)
        titles = [task.title for task in self.tasks]
        for task in self.tasks:
            if titles.count(task.title) > 1:
                raise RecipeError(
                    f"two tasks are named {task.title!r}: give one a name of its own with `label`"
                )
            task.check()

    def forecast(self, ahead: Ahead) -> dict[str, Any]:
        return {"documents": 0, "tokens": 0}  # scores

    def outputs(self) -> dict[str, Output]:
        return {
            "": Output("rows", "a score of a model a row, with its interval"),
            ".samples": Output("rows", "what was measured: documents, or prompts and completions"),
            ".pictures": Output("pictures", "heat maps and dots, as PNG files"),
        }

    def phases(self, run: StepRun) -> Iterator[Phase]:
        self.check()
        from train.evaluate.task import draw_pictures, measure  # torch when they run, not now

        inputs = {name: dataset.ref for name, dataset in run.inputs.items()}
        args = {"step": self, "store": str(run.store.path), "inputs": inputs}
        tasks = [
            Task(f"{m:03d}-{t:03d}", measure, {**args, "model": model, "task": task})
            for m, model in enumerate(self.models)
            for t, task in enumerate(self.tasks)
        ]
        resources = Resources(cpus=self.threads or 1)
        yield Phase(MEASURE, tasks, resources, unit="tasks", workers=1)  # a model fills the machine
        records = run.records(MEASURE)
        rows = [row for record in records for row in record.value["rows"]]
        yield Phase(DRAW, [Task("pictures", draw_pictures, {"rows": rows})], unit="pictures")
        for note in dict.fromkeys(note for record in records for note in record.value["notes"]):
            run.note(note)
        run.facts.update(main_numbers(rows))


def main_numbers(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """`{"models/base": {"loss.bits_per_byte": 1.23}}`: scores over all of their items."""
    found: dict[str, Any] = {}
    for row in rows:
        if row["source"] == "all" and row["length"] is None and row["depth"] is None:
            place = found.setdefault(str(row["model"]), {})
            place[f"{row['task']}.{row['metric']}"] = round(row["value"], 6)
    return found
