"""Averages of the weights that a stage passes through.

In: `average: {kind: uniform, last: 5}` or `{kind: ema, decay: 0.999}`. Out: Average.
Shown by: `gristmill plan`. Limit: averages of different stages are `use: checkpoint`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mixtures.blend.schedule import Position
from train.spec.base import Spec


class Average(Spec):
    """The stage's weights become this average; without one, they are those of the last step."""

    kind: Literal["uniform", "ema"] = "uniform"
    last: int = Field(default=5, ge=1)  # uniform: so many points, the stage's end among them
    every: Position = 0.02  # distance of two points of `uniform`: part of the stage, or an amount
    decay: float = Field(default=0.999, gt=0, lt=1)  # ema: a step
