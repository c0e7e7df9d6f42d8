"""dare: drop entries of the differences at random and rescale the rest (DARE, arXiv 2311.03099).

    tau_i = m_i * (theta_i - theta_base) / (1 - p),  m_i = 1 with probability 1 - p, else 0
    theta = theta_base + sum_i w_i tau_i

In: a base and models that began from it. Out: one model.
Shown by: `dare: {base: models/base, of: [models/code, models/maths], drop: 0.9}`.
Limit: a mask is drawn from (seed, model's place, tensor's name, entry): the same on any machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import Field

from train.weights.merge import FromBase, check_weights
from train.weights.op import Made, register_op

if TYPE_CHECKING:
    from torch import Tensor


@register_op("dare")
class Dare(FromBase):
    """Dropped and rescaled differences."""

    drop: float = Field(default=0.9, ge=0, lt=1)  # p of the paper
    weights: tuple[float, ...] | None = None  # default: 1/n for each

    def check(self) -> None:
        check_weights(self.weights, self.of)

    def combine(self, name: str, tensors: Iterable[Tensor], seed: int) -> Made:
        from train.weights.draws import uniform

        others = iter(tensors)
        base = next(others)
        weights = self.weights or (1 / len(self.of),) * len(self.of)
        found, kept = base.clone(), 0
        for place, (tensor, weight) in enumerate(zip(others, weights, strict=True)):
            mask = uniform(base.shape, seed, "dare", place, name) >= self.drop
            found.add_((tensor - base) * mask, alpha=weight / (1 - self.drop))
            kept += int(mask.count_nonzero())
        return Made(found, kept=kept / (len(self.of) * max(1, base.numel())))
