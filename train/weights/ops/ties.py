"""ties: trim, elect a sign, mean of those who agree (TIES-Merging, arXiv 2306.01708).

    tau_i = theta_i - theta_base, all but its `density` largest entries set to 0
    gamma = sign(sum_i tau_i)
    tau   = mean of the tau_i that are not 0 and have the sign gamma, entry by entry
    theta = theta_base + weight * tau

The largest entries are those of a whole difference, as the authors' code has it (`scope: model`);
`scope: tensor` keeps the same share of every tensor, as mergekit does.

In: a base and models that began from it. Out: one model.
Shown by: `ties: {base: models/base, of: [models/code, models/maths], density: 0.2}`.
Limit: with `scope: model` every difference is read four times more, to find its least entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from train.weights.folder import FLOATS
from train.weights.merge import FromBase, check_weights
from train.weights.op import Made, Make, register_op
from train.weights.vectors import nth_largest

if TYPE_CHECKING:
    from torch import Tensor

    from train.weights.model import Model


@register_op("ties")
class Ties(FromBase):
    """Trimmed and elected differences."""

    density: float = Field(default=0.2, gt=0, le=1)  # share of each difference that is kept
    scope: Literal["model", "tensor"] = "model"  # of which the largest entries are kept
    weight: float = 1.0  # lambda of the paper

    def check(self) -> None:
        check_weights(None, self.of)

    def open(self, models: Sequence[Model], seed: int) -> Make:
        base, *others = models
        whole = self.scope == "model"
        least = [self._least(base, other) if whole else None for other in others]

        def make(name: str) -> Made:
            start = base[name]
            if not start.is_floating_point():
                return Made(start)
            deltas = [
                trim(other[name] - start, self.density)
                if bound is None
                else cut(other[name] - start, bound)
                for other, bound in zip(others, least, strict=True)
            ]
            kept = sum(int(delta.count_nonzero()) for delta in deltas)
            share = kept / (len(deltas) * start.numel()) if start.numel() else 0.0
            return Made(start + elected_mean(deltas) * self.weight, kept=share)

        return make

    def _least(self, base: Model, other: Model) -> float:
        """The smallest magnitude that is kept of a difference; 0: all."""
        tensors = base.folder.tensors
        names = [name for name, entry in tensors.items() if entry.dtype in FLOATS]
        count = sum(tensors[name].parameters for name in names)
        keep = max(1, round(self.density * count))
        if keep >= count:
            return 0.0

        def magnitudes() -> Iterator[Tensor]:
            for name in names:
                yield (other[name] - base[name]).abs()

        return nth_largest(magnitudes, keep)


def trim(delta: Tensor, density: float) -> Tensor:
    """The largest entries of a tensor by magnitude, the others 0; equals of the last one stay."""
    count = delta.numel()
    keep = max(1, round(density * count))
    if keep >= count:
        return delta
    return cut(delta, delta.abs().flatten().kthvalue(count - keep + 1).values)


def cut(delta: Tensor, least: Tensor | float) -> Tensor:
    """Entries of at least this magnitude, the others 0."""
    return delta * (delta.abs() >= least)


def elected_mean(deltas: Sequence[Tensor]) -> Tensor:
    """Mean over the entries whose sign is that of the sum."""
    sign = sum(deltas[1:], deltas[0]).sign()
    total, count = deltas[0] * 0, deltas[0] * 0
    for delta in deltas:
        agrees = (delta.sign() == sign) & (delta != 0)
        total += delta * agrees
        count += agrees
    return total / count.clamp_(min=1)
