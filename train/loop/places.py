"""Places in a stage: distances and points in tokens (or rows) as numbers of optimiser steps.

In: parts or amounts of a recipe, a stage's batches. Out: whether a step passes one; steps.
Shown by: `run: {save_every: 50M}`. Limit: a place is the end of the step that reaches it.
"""

from __future__ import annotations

from collections.abc import Callable

from mixtures.blend.schedule import Position
from train.loop.schedule import span

Before = Callable[[int], int]


class Every:
    """A mark at each multiple of a distance."""

    def __init__(self, value: Position, key: str, steps: int, before: Before) -> None:
        self._before, self._steps = before, steps
        self.distance = max(1, span(value, before(steps), key))

    def passed(self, step: int) -> bool:
        """Whether the last of `step` steps passed a mark."""
        marks = (self._before(n) // self.distance for n in (step - 1, step))
        return step > 0 and len(set(marks)) == 2


def points(last: int, value: Position, key: str, steps: int, before: Before) -> list[int]:
    """The steps nearest below the points that lie `value` apart, ending with the stage."""
    total = before(steps)
    distance = span(value, total, key)
    return sorted({_step_at(total - n * distance, steps, before) for n in range(last)} - {0})


def _step_at(place: int, steps: int, before: Before) -> int:
    """The most steps that have taken no more than `place`."""
    low, high = 0, steps
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if before(middle) <= place else (low, middle - 1)
    return low
