"""The learning rate over a stage, in tokens (a mixture) or rows.

In: `schedule: cosine`, `{shape: wsd, warmup: 0.01, end: 0.1}` or `{points: [[0, 0], [0.01, 1],
[1, 0.1]]}`. Out: Schedule; `train.schedule.multiplier` computes it. Shown by: `gristmill plan`.
Limit: positions are parts of the stage, or amounts: tokens of a mixture, else rows.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from gristmill.errors import RecipeError
from mixtures.blend.schedule import Position
from train.spec.base import Spec


class Schedule(Spec):
    """A shape with a warm-up, or points (position, part of the peak) and how to go between them."""

    shape: Literal["constant", "linear", "cosine", "wsd"] = "cosine"
    warmup: Position = 0.01  # from 0 to the peak; a part of the stage, or an amount
    decay: Position = 0.2  # of wsd: the last part, which falls
    end: float = Field(default=0.1, ge=0)  # part of the peak that is left at the end
    points: tuple[tuple[Position, float], ...] = ()
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
