"""linear: a sum of models with weights as they are given, which may be negative or above 1.

    theta = sum_i w_i theta_i

In: models of one shape. Out: one model. Shown by: `linear: {of: [models/rl, models/sft], weights:
[1.5, -0.5]}`, which goes on from SFT beyond RL (extrapolation, arXiv 2312.09979).
Limit: norms and embeddings are summed too; weights that do not sum to 1 scale them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from train.weights.merge import Merge, check_weights
from train.weights.op import Made, register_op
from train.weights.ops.average import weighted_sum

if TYPE_CHECKING:
    from torch import Tensor


@register_op("linear")
class Linear(Merge):
    """A weighted sum."""

    weights: tuple[float, ...]

    def check(self) -> None:
        check_weights(self.weights, self.of)

    def combine(self, name: str, tensors: Iterable[Tensor], seed: int) -> Made:
        return Made(weighted_sum(tensors, self.weights))
