"""slerp: spherical interpolation of task vectors, tensor by tensor (WARP, arXiv 2406.16768).

    delta_i = theta_i - theta_init,  Omega the angle between delta_1 and delta_2
    theta   = theta_init + sin((1 - t) Omega) / sin(Omega) delta_1
                         + sin(t Omega) / sin(Omega) delta_2

More than two are folded in one after the other, with t_m = w_m / (w_1 + … + w_m), so t_m = 1/m for
equal weights. Where the vectors are parallel, opposite or 0 the formula has no value and a straight
line is taken, which is its limit for parallel ones.

In: models of one shape and the model they began from. Out: one model.
Shown by: `slerp: {of: [models/a, models/b], init: models/sft}`.
Limit: folding depends on the order of three and more models.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gristmill.errors import RecipeError
from mixtures.tokens.tokenizer_sources import Source
from train.weights.merge import Merge, check_weights
from train.weights.op import Made, register_op
from train.weights.vectors import angle

if TYPE_CHECKING:
    from torch import Tensor

_FLAT = 1e-6  # sin(Omega) below which the vectors lie on a line


@register_op("slerp")
class Slerp(Merge):
    """Spherical interpolation."""

    init: Source
    weights: tuple[float, ...] | None = None  # default: equal

    def sources(self) -> list[Source]:
        return [self.init, *self.of]

    def check(self) -> None:
        check_weights(self.weights, self.of, least=2)
        if self.weights is not None and min(self.weights) < 0:
            raise RecipeError(f"weights is {list(self.weights)}; slerp takes 0 or more")

    def combine(self, name: str, tensors: Iterable[Tensor], seed: int) -> Made:
        weights = self.weights or (1.0,) * len(self.of)
        init, *others = tensors
        mixed, total, widest = others[0] - init, weights[0], 0.0
        for other, weight in zip(others[1:], weights[1:], strict=True):
            total += weight
            delta = other - init
            widest = max(widest, angle(mixed, delta))
            mixed = slerp(mixed, delta, weight / total if total else 0.0)
        return Made(init + mixed, angle=widest)


def slerp(one: Tensor, two: Tensor, t: float) -> Tensor:
    """From `one` (t = 0) to `two` (t = 1) along the arc between them."""
    omega = math.radians(angle(one, two))
    sine = math.sin(omega)
    if sine < _FLAT:
        return one * (1 - t) + two * t
    return one * (math.sin((1 - t) * omega) / sine) + two * (math.sin(t * omega) / sine)
