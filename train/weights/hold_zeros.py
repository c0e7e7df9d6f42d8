"""Sparse training: weights that are 0 stay 0, under any optimiser (SPDF, arXiv:2303.10464).

In: a model, and `sparse: zeros` (of a pruned model) or a share to set to 0 at random first.
Out: a callback. Shown by: `model: {sparse: 0.75}` in `use: train`; SPDF's dense fine-tuning is the
next stage, without it. Limit: zeros cost as much as other numbers; not with FSDP.

Gradients of masked weights are set to 0 before their norm is taken and moments are made of them;
after the step the mask is put on again, for optimisers that mix entries (muon).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from transformers import TrainerCallback

from gristmill.errors import RecipeError
from train.spec.masks import Sparse
from train.weights.draws import uniform
from train.weights.layers import ROUTERS, place_of
from train.weights.ops.prune import largest


class HoldZeros(TrainerCallback):  # type: ignore[misc]
    """Masks of the matrices of layers; embeddings, heads, norms and routers are dense."""

    def __init__(self, model: nn.Module, sparse: Sparse, seed: int) -> None:
        self.masks: list[tuple[nn.Parameter, Tensor]] = []
        for name, weight in model.named_parameters():
            if place_of(name) is None or weight.ndim < 2 or name.endswith(ROUTERS):
                continue
            mask = _mask(name, weight, sparse, seed)
            self.masks.append((weight, mask))
            weight.register_hook(_times(mask))
        self._apply()
        zeros = sum(int((~mask).sum()) for _, mask in self.masks)
        if not zeros:
            raise RecipeError(
                "model.sparse is 'zeros', but the model of `init` has none: prune it first (`use: "
                "checkpoint`, `prune: {…}`), or give a share: `sparse: 0.75`"
            )
        self.share = zeros / sum(mask.numel() for _, mask in self.masks)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._apply()

    def _apply(self) -> None:
        for weight, mask in self.masks:
            weight.data.mul_(mask)


def _mask(name: str, weight: Tensor, sparse: Sparse, seed: int) -> Tensor:
    if sparse == "zeros":
        return weight.detach() != 0
    keep = round((1 - sparse) * weight.numel())
    drawn = uniform(weight.shape, seed, "sparse", name)
    return largest(drawn, keep).reshape(weight.shape).to(weight.device)


def _times(mask: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda gradient: gradient * mask
