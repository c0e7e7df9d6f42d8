"""The model of a stage: changes of its configuration, adapters, numbers and kernels.

In: `model: {patch: {max_position_embeddings: 32768, rope_parameters: {…}}}`. Out: ModelSpec.
Shown by: `gristmill plan`. Limit: a patch must not change the shape of a weight; surgery does
(`use: checkpoint`).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from gristmill.errors import RecipeError
from train.spec.base import Spec
from train.spec.masks import SoftTopK, Sparse


class Lora(Spec):
    """A low-rank adapter (Hu et al. 2021), by peft."""

    r: int = Field(default=16, ge=1)
    alpha: float = Field(default=32, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: str | tuple[str, ...] = "all-linear"  # names of modules
    merge: bool = True  # into the weights at the end; false: the adapter stays apart


class ModelSpec(Spec):
    """What is done to the model of `init` before it is trained."""

    patch: dict[str, Any] = Field(
        default={}
    )  # keys of its config: rope_parameters, attention_dropout, …
    dtype: Literal["float32", "bfloat16"] = "float32"  # of the forward pass; weights stay float32
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    lora: Lora | None = None
    quantize: Literal["int8", "nf4"] | None = None  # the frozen weights below an adapter
    soft_top_k: SoftTopK | None = None  # learn which FFN units to keep
    sparse: Sparse | None = None  # hold weights at 0: `zeros`, or a share drawn at the start
    z_loss: float = Field(default=0.0, ge=0)  # weight of log(Z)^2 (PaLM; OpenELM 1e-4)

    @model_validator(mode="after")
    def _masks_alone(self) -> ModelSpec:
        if self.lora is not None and (self.soft_top_k is not None or self.sparse is not None):
            raise RecipeError(
                "model has `lora` and a mask (soft_top_k, sparse): an adapter leaves the weights "
                "as they are; leave one of them out"
            )
        return self
