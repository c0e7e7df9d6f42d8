"""When a stage may end before its data does: what the model must be able to do by then.

In: `advance: {when: [{task: {needle: {lengths: [1024]}}, metric: written, reaches: 1}]}`.
Out: Advance. Shown by: `gristmill plan`. Limit: a condition looks at a task's number over all of
its items.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_serializer, field_validator, model_validator

from gristmill.errors import RecipeError
from mixtures.blend.schedule import Position
from train.evaluate.spec import TaskSpec, parse_task
from train.spec.base import Spec, spacing


class Condition(Spec):
    """A number of an evaluation, and how good it must be."""

    task: TaskSpec  # as in `use: evaluate`
    metric: str  # one of the task's
    reaches: float | None = None  # at least; at most where lower is better
    # No worse than the model of `init`, but for this part of its value: 0.01 is 1 %.
    recovers: float | None = Field(default=None, ge=0)

    @field_validator("task", mode="before")
    @classmethod
    def _parse(cls, entry: Any) -> TaskSpec:
        return parse_task(entry)

    @field_serializer("task")
    def _dump(self, task: TaskSpec) -> dict[str, Any]:
        return task.as_entry()

    @model_validator(mode="after")
    def _one(self) -> Condition:
        if (self.reaches is None) == (self.recovers is None):
            raise RecipeError(
                f"advance.when, {self.title}: give one of `reaches: NUMBER` and `recovers: PART` "
                "(of the value of init's model)"
            )
        return self

    @property
    def title(self) -> str:
        """In the log and in messages."""
        return f"{self.task.title}.{self.metric}"


class Advance(Spec):
    """The stage ends at the first look at which all conditions hold."""

    when: tuple[Condition, ...] = Field(min_length=1)
    every: Position = 0.1  # distance of two looks: a part of the stage, or an amount
    # At the end of the data with a condition that does not hold: a note, or an error.
    otherwise: Literal["go_on", "stop"] = "go_on"

    @model_validator(mode="after")
    def _fits(self) -> Advance:
        spacing(self.every, "advance.every")
        tasks: dict[str, TaskSpec] = {}
        for task in (condition.task for condition in self.when):
            if tasks.setdefault(task.title, task) != task:
                raise RecipeError(
                    f"advance.when has two tasks {task.title!r} with different options: give one "
                    "a name of its own with `label`"
                )
        return self

    @property
    def tasks(self) -> dict[str, TaskSpec]:
        """Each once, by title."""
        return {condition.task.title: condition.task for condition in self.when}
