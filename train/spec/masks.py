"""Masks that a stage trains under: learned ones over FFN units, fixed ones over weights.

In: `model: {soft_top_k: {keep: 0.5}}`, `model: {sparse: 0.75}`, `model: {sparse: zeros}`.
Out: SoftTopK, Sparse. Shown by: `gristmill plan`. Limit: not together with an adapter.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gristmill.errors import RecipeError
from train.spec.base import Spec

# `zeros`: weights that are 0 at the start stay 0 (a pruned model). A number: the share of each
# matrix that is set to 0 at random at the start, and stays (SPDF, arXiv:2303.10464).
Sparse = Literal["zeros"] | Annotated[float, Field(gt=0, lt=1)]


class SoftTopK(Spec):
    """Which FFN units to keep is learned: train.weights.soft_top_k. `use: checkpoint`, `slice: {by:
    mask}` cuts the others off."""

    keep: float = Field(gt=0)  # units of each FFN; below 1: their share
    until: float = Field(default=0.8, gt=0, le=1)  # part of the stage in which the mask hardens
    temperature: tuple[float, float] = (1.0, 0.01)  # at the start, and from `until` on

    @model_validator(mode="after")
    def _cooling(self) -> SoftTopK:
        warm, cold = self.temperature
        if not 0 < cold <= warm:
            raise RecipeError(
                f"soft_top_k.temperature is {list(self.temperature)}; write [start, end], with "
                "0 < end <= start"
            )
        if self.keep >= 1 and self.keep != int(self.keep):
            raise RecipeError(f"soft_top_k.keep is {self.keep}; whole units, or a share below 1")
        return self
