"""ema: an exponential moving average over models in order.

    m_1 = theta_1,  m_k = d m_(k-1) + (1 - d) theta_k

The anchor of WARP (arXiv 2406.16768) between rounds; within one stage `average: {kind: ema}` of
`use: train` does it every step.

In: models of one shape, the oldest first. Out: one model.
Shown by: `ema: {of: [models/r1, models/r2, models/r3], decay: 0.9}`.
Limit: the first model keeps the weight d^(k-1): there is no correction of the start.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import Field

from train.weights.merge import Merge, check_weights
from train.weights.op import Made, register_op

if TYPE_CHECKING:
    from torch import Tensor


@register_op("ema")
class Ema(Merge):
    """An exponential moving average."""

    decay: float = Field(default=0.9, ge=0, lt=1)  # weight of what came before

    def check(self) -> None:
        check_weights(None, self.of)

    def combine(self, name: str, tensors: Iterable[Tensor], seed: int) -> Made:
        mean: Tensor | None = None
        for tensor in tensors:
            # As a step towards theta_k: equal models give that model bit for bit.
            mean = tensor if mean is None else mean + (tensor - mean) * (1 - self.decay)
        assert mean is not None
        return Made(mean)
