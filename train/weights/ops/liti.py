"""liti: linear interpolation towards the model that training began from (WARP, arXiv 2406.16768).

    theta = (1 - eta) theta_init + eta theta

WARP's last step: eta moves along the front between reward and what was known before. WiSE-FT
(arXiv 2109.01903) is the same for fine-tuning.

In: a model and its beginning. Out: one model.
Shown by: `liti: {of: models/rl, init: models/sft, eta: 0.3}`.
Limit: one eta for all tensors.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from gristmill.errors import RecipeError
from mixtures.tokens.tokenizer_sources import Source
from train.weights.merge import Merge
from train.weights.op import Made, register_op

if TYPE_CHECKING:
    from torch import Tensor


@register_op("liti")
class Liti(Merge):
    """Interpolation towards the initial model."""

    init: Source
    eta: float = Field(ge=0, le=1)  # 1: the trained model; 0: the initial one

    @field_validator("of", mode="before")
    @classmethod
    def _one(cls, given: object) -> object:
        if isinstance(given, list | tuple):
            raise RecipeError(f"liti has one model in `of`, not {len(given)}")
        return (given,)

    def sources(self) -> list[Source]:
        return [*self.of, self.init]

    def reference(self) -> int:
        return 1

    def combine(self, name: str, tensors: Iterable[Tensor], seed: int) -> Made:
        tuned, init = tensors
        return Made(init * (1 - self.eta) + tuned * self.eta)
