"""The tasks of an evaluation: a name and its options.

In: `{loss: mix/valid}`, `{needle: {lengths: [512, 1024]}}`. Out: a TaskSpec; `measure` runs it.
Shown by: `gristmill plan`. Limit: a task measures one model at a time.

A new task is one class below `@register_task` in a file of `train/evaluate/tasks`, and its name in
_HOME; a third party's comes by the entry point group `gristmill.evaluations`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from gristmill.errors import RecipeError
from gristmill.registry import Registry, made, named
from train.evaluate.results import Measured
from train.spec.base import Spec

if TYPE_CHECKING:
    from train.evaluate.bench import Bench


class TaskSpec(Spec):
    """Options of one task. Its file imports no torch at the top: `plan` reads it."""

    NAME: ClassVar[str] = ""

    label: str | None = None  # the column `task`; default: its name. Two of a name need labels

    @classmethod
    def from_scalar(cls, value: Any) -> TaskSpec:
        """A task takes a mapping of options, unless it says what a single value means."""
        raise RecipeError(f"options of an evaluation task are a mapping, got {value!r:.80}")

    @property
    def title(self) -> str:
        """What the column `task` says."""
        return self.label or self.NAME

    def as_entry(self) -> dict[str, Any]:
        """As a recipe writes it."""
        return {self.NAME: self.model_dump(mode="json", by_alias=True)}

    def inputs(self) -> list[str]:
        """Datasets that it reads."""
        return []

    def files(self) -> list[str]:
        """Files on disk whose content decides."""
        return []

    def packages(self) -> list[str]:
        """Distributions whose version changes what it measures."""
        return []

    def check(self) -> None:
        """Raise RecipeError for what the fields alone show."""

    def measure(self, bench: Bench) -> Measured:
        """Measure the model that the bench holds."""
        raise RecipeError(f"evaluation task {self.NAME!r} has no measure()")


_HOME = {
    name: f"train.evaluate.tasks.{name}"
    for name in (
        "loss",
        "needle",
        "copy",
        "procedural",
        "rows",
        "lm_eval",
        "win_rate",
        "diversity",
    )
}
GROUP = "gristmill.evaluations"
_TASKS = Registry("tasks", _HOME, GROUP, "task")
T = TypeVar("T", bound=type[TaskSpec])


def register_task(name: str) -> Callable[[T], T]:
    """Class decorator: make a task known under the name that recipes use."""
    return _TASKS.register(name)


def task_names() -> list[str]:
    """Every task."""
    return _TASKS.names()


def task_class(name: str) -> type[TaskSpec]:
    """The task of a name; RecipeError with the nearest name otherwise."""
    return _TASKS.find(name)


def parse_task(entry: Any) -> TaskSpec:
    """`copy`, `{loss: mix/valid}`, `{needle: {lengths: [512]}}`."""
    if isinstance(entry, TaskSpec):
        return entry
    rule = f"task is {entry!r:.80}; write `NAME` or `NAME: {{option: value}}`"
    name, options = named(entry, rule)
    cls = task_class(name)
    return made(cls, name, options, cls.from_scalar)
