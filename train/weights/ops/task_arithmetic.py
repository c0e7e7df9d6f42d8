"""task_arithmetic: differences from a base, weighted and added to it (arXiv 2212.04089).

    theta = theta_base + sum_i w_i (theta_i - theta_base)

A negative weight takes away what a model learned.

In: a base and models that began from it. Out: one model.
Shown by: `task_arithmetic: {base: models/base, of: [models/a, models/b], weights: [1, 0.5]}`.
Limit: differences that disagree cancel; `ties` elects between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from train.weights.merge import FromBase, check_weights
from train.weights.op import Made, register_op

if TYPE_CHECKING:
    from torch import Tensor


@register_op("task_arithmetic")
class TaskArithmetic(FromBase):
    """A base and weighted differences from it."""

    weights: tuple[float, ...] | None = None  # default: 1 for each

    def check(self) -> None:
        check_weights(self.weights, self.of)

    def combine(self, name: str, tensors: Iterable[Tensor], seed: int) -> Made:
        others = iter(tensors)
        base = next(others)
        found = base.clone()
        for tensor, weight in zip(others, self.weights or (1.0,) * len(self.of), strict=True):
            found.add_(tensor - base, alpha=weight)
        return Made(found)
