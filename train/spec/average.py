"""Averages of the weights that a stage passes through.

In: `average: {kind: uniform, last: 5}` or `{kind: ema, decay: 0.999}`. Out: Average.
Shown by: `gristmill plan`. Limit: averages of different stages are `use: checkpoint`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from gristmill.errors import RecipeError
from mixtures.blend.schedule import Position
from train.spec.base import Spec, spacing


class Average(Spec):
    """The stage's weights become this average; without one, they are those of the last step."""

    kind: Literal["uniform", "ema"] = "uniform"
    # uniform: so many points, the stage's end among them.
    last: int = Field(default=5, ge=1)
    every: Position = 0.02  # distance of two points of `uniform`: part of the stage, or an amount
    decay: float = Field(default=0.999, gt=0, lt=1)  # ema: a step

    @model_validator(mode="after")
    def _fits(self) -> Average:
        spacing(self.every, "average.every")
        other = {"uniform": {"decay"}, "ema": {"last", "every"}}[self.kind]
        if given := self.model_fields_set & other:
            raise RecipeError(
                f"average: {sorted(given)[0]} is not of kind {self.kind!r}; uniform has last and "
                "every, ema has decay"
            )
        return self
