"""ties: trim, elect a sign, mean of those who agree (TIES-Merging, arXiv 2306.01708).

    tau_i = theta_i - theta_base, all but its `density` largest entries set to 0
    gamma = sign(sum_i tau_i)
    tau   = mean of the tau_i that are not 0 and have the sign gamma, entry by entry
    theta = theta_base + weight * tau

In: a base and models that began from it. Out: one model.
Shown by: `ties: {base: models/base, of: [models/code, models/maths], density: 0.2}`.
Limit: entries are trimmed tensor by tensor, as merging tools do; the paper trims over all weights
at once, which leaves little of small differences in norms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from train.weights.merge import FromBase, check_weights
from train.weights.op import Made, register_op

if TYPE_CHECKING:
    from torch import Tensor


@register_op("ties")
class Ties(FromBase):
    """Trimmed and elected differences."""

    density: float = Field(default=0.2, gt=0, le=1)  # share of each difference that is kept
    weight: float = 1.0  # lambda of the paper

    def check(self) -> None:
        check_weights(None, self.of)

    def combine(self, name: str, tensors: Iterable[Tensor], seed: int) -> Made:
        base, *others = tensors
        deltas = [trim(other - base, self.density) for other in others]
        kept = sum(int(delta.count_nonzero()) for delta in deltas)
        share = kept / (len(deltas) * base.numel()) if base.numel() else 0.0
        return Made(base + elected_mean(deltas) * self.weight, kept=share)


def trim(delta: Tensor, density: float) -> Tensor:
    """The largest entries by magnitude, the others 0; equals of the last one stay too."""
    count = delta.numel()
    keep = max(1, round(density * count))
    if keep >= count:
        return delta
    magnitude = delta.abs()
    least = magnitude.flatten().kthvalue(count - keep + 1).values
    return delta * (magnitude >= least)


def elected_mean(deltas: Sequence[Tensor]) -> Tensor:
    """Mean over the entries whose sign is that of the sum."""
    sign = sum(deltas[1:], deltas[0]).sign()
    total, count = deltas[0] * 0, deltas[0] * 0
    for delta in deltas:
        agrees = (delta.sign() == sign) & (delta != 0)
        total += delta * agrees
        count += agrees
    return total / count.clamp_(min=1)
