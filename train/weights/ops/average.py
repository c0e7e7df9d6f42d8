"""average: a weighted mean of models, also known as a model soup.

    theta = sum_i w_i theta_i / sum_i w_i

Llama 3 averages at the reward, SFT and DPO stages (arXiv 2407.21783), after Polyak's averages of
iterates and model soups (arXiv 2203.05482). The last k checkpoints of a run: name them.

In: models of one shape. Out: one model. Shown by: `average: {of: [models/a, models/b]}`.
Limit: sums are in float64; N equal float32 models give that model bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gristmill.errors import RecipeError
from train.weights.merge import Merge, check_weights
from train.weights.op import Made, register_op

if TYPE_CHECKING:
    from torch import Tensor


@register_op("average")
class Average(Merge):
    """A weighted mean."""

    weights: tuple[float, ...] | None = None  # shares, brought to a sum of 1; default: equal

    def check(self) -> None:
        check_weights(self.weights, self.of)
        if self.weights is not None and (min(self.weights) < 0 or sum(self.weights) <= 0):
            raise RecipeError(
                f"weights is {list(self.weights)}; shares of an average are 0 or more and not all "
                "0; `linear` takes any weights"
            )

    def combine(self, name: str, tensors: Iterable[Tensor], seed: int) -> Made:
        weights = self.weights or (1.0,) * len(self.of)
        return Made(weighted_sum(tensors, weights) / sum(weights))


def weighted_sum(tensors: Iterable[Tensor], weights: Iterable[float]) -> Tensor:
    """sum_i w_i theta_i; each tensor is let go once it is added."""
    total: Tensor | None = None
    for tensor, weight in zip(tensors, weights, strict=True):
        total = tensor * weight if total is None else total.add_(tensor, alpha=weight)
    assert total is not None
    return total
