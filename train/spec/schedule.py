"""The learning rate over a stage, in tokens (a mixture) or rows.

In: `schedule: cosine`, `{shape: wsd, warmup: 0.01, end: 0.1}` or `{points: [[0, 0], [0.01, 1],
[1, 0.1]]}`. Out: Schedule; `train.loop.schedule` computes it. Shown by: `gristmill plan`.
Limit: positions are parts of the stage, or amounts: tokens of a mixture, else rows.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from gristmill.errors import RecipeError
from mixtures.blend.schedule import Position, amount
from train.spec.base import Spec


class Schedule(Spec):
    """A shape with a warm-up, or points (position, part of the peak) and how to go between them."""

    shape: Literal["constant", "linear", "cosine", "wsd"] = "cosine"
    warmup: Position = 0.01  # from 0 to the peak; a part of the stage, or an amount
    decay: Position = 0.2  # of wsd: the last part, which falls in a straight line
    end: float = Field(default=0.1, ge=0)  # part of the peak that is left at the end
    points: tuple[tuple[Position, float], ...] = ()  # position 1 is the stage's end
    interp: Literal["linear", "cosine"] = "linear"  # between points

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"shape": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _either(self) -> Schedule:
        if self.points and self.model_fields_set & {"shape", "warmup", "decay", "end"}:
            raise RecipeError("schedule has `points` and a shape; write one of them")
        return self

    @model_validator(mode="after")
    def _numbers(self) -> Schedule:
        for key, value in (("warmup", self.warmup), ("decay", self.decay)):
            amount(value, f"schedule.{key}")
        for n, (at, part) in enumerate(self.points):
            amount(at, f"schedule.points.{n}")
            if part < 0:
                raise RecipeError(f"schedule.points.{n} is {part}: a part of the peak is 0 or more")
        parts = [p for p in (self.warmup, self.decay) if isinstance(p, float) and p < 1]
        if self.shape == "wsd" and len(parts) == 2 and sum(parts) > 1:
            raise RecipeError(
                f"schedule: warmup {self.warmup} and decay {self.decay} are more than the stage"
            )
        return self
