"""Soft-Top-K: which units of each FFN to keep, learned with the weights.

In: a model whose FFNs have gate_proj, up_proj and down_proj. Out: the same with a mask in front of
each down_proj while it trains; at the end the mask is in the weights, and in masks/ffn.safetensors
for `slice: {by: mask}`. Shown by: `model: {soft_top_k: {keep: 0.5}}` in `use: train`.
Limit: the same number of units in each layer; scores learn at the stage's learning rate.

Apple's on-device model is pruned so (arXiv:2407.21075). The mask of scores s is CoDA's
(arXiv:2304.04947): the m that maximises s·m + t H(m) with sum m = k and 0 <= m <= 1, where H is the
entropy and t a temperature:

    m_i = min(1, exp((s_i + a) / t)),  a such that the sum is k

CoDA finds a by coordinate descent; sorted scores give it directly. Over the stage k falls linearly
from all units to `keep`, so that step 0 computes what the model did, and t geometrically, so that
the mask ends near 0 and 1; what is then left on units that will be cut is set to 0. The schedules
and the first scores (the log of a unit's norms, standardised) are ours: the report prints none.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, TrainerCallback

from gristmill.errors import RecipeError
from train.spec.masks import SoftTopK
from train.weights.ops.slice import MASKS, importance


def soft_top_k(scores: Tensor, keep: float, temperature: float) -> Tensor:
    """float[units] in [0, 1] with the sum `keep`, 0 < keep <= units; differentiable in scores."""
    warm = scores / temperature
    ordered = warm.sort(descending=True).values
    # rest[m]: log of the sum of exp over all but the m largest, which the mask holds at 1.
    rest = ordered.flip(0).logcumsumexp(0).flip(0)
    left = keep - torch.arange(len(scores), device=scores.device, dtype=scores.dtype)
    shift = left.clamp(min=1e-30).log() - rest
    fits = (ordered + shift <= 1e-6) & (left > 0)
    return (warm + shift[fits.int().argmax()]).clamp(max=0).exp()


class UnitMask(nn.Module):  # type: ignore[misc]
    """The mask of one FFN; its scores are parameters of the model, so checkpoints hold them."""

    def __init__(self, scores: Tensor, spec: SoftTopK) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores)
        self.units = len(scores)
        self.wanted = round(spec.keep * self.units) if spec.keep < 1 else int(spec.keep)
        if not 0 < self.wanted < self.units:
            raise RecipeError(
                f"model.soft_top_k.keep is {spec.keep:g}; an FFN of the model has {self.units} "
                "units, of which some must stay and some go"
            )
        self.spec = spec
        self.at(0.0)

    def at(self, progress: float) -> None:
        """Set k and the temperature for a part of the stage, 0 to 1."""
        part = min(1.0, progress / self.spec.until)
        warm, cold = self.spec.temperature
        self.keep = self.units + (self.wanted - self.units) * part
        self.temperature = warm * (cold / warm) ** part

    def forward(self) -> Tensor:
        return soft_top_k(self.scores.float(), self.keep, self.temperature)

    def hard(self) -> Tensor:
        """The mask as it is at the end of the stage, and 0 for all units that will be cut."""
        self.at(1.0)
        mask = self().detach()
        cut = mask.argsort(descending=True, stable=True)[self.wanted :]
        return mask.index_fill(0, cut, 0.0)


class Harden(TrainerCallback):  # type: ignore[misc]
    """Moves all masks along with the stage; a function of the step, so it survives a kill."""

    def __init__(self, model: nn.Module) -> None:
        self.masks = [module for module in model.modules() if isinstance(module, UnitMask)]

    def on_step_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        for mask in self.masks:
            mask.at(state.global_step / max(1, state.max_steps))


def attach(model: PreTrainedModel, spec: SoftTopK) -> Callable[[Any, Path], PreTrainedModel]:
    """Put a mask into each FFN; what brings them into the weights when the stage is over."""
    end = ".down_proj"
    names = [name.removesuffix(end) for name, _ in model.named_modules() if name.endswith(end)]
    layers = {name: model.get_submodule(name) for name in names if name.endswith(".mlp")}
    if not layers:
        raise RecipeError(
            f"model.soft_top_k: {type(model).__name__} has no mlp.down_proj; it masks dense gated "
            "FFNs (Llama, Qwen, Mistral, Gemma)"
        )
    hooks = []
    for layer in layers.values():
        layer.soft_top_k = UnitMask(_first_scores(layer), spec)
        hooks.append(layer.down_proj.register_forward_pre_hook(_masked(layer.soft_top_k)))

    def finish(trained: Any, folder: Path) -> PreTrainedModel:
        found = {}
        for hook in hooks:
            hook.remove()
        for name in layers:
            layer = trained.get_submodule(name)
            with torch.no_grad():
                mask = layer.soft_top_k.hard()
                layer.down_proj.weight.mul_(mask.to(layer.down_proj.weight))
            del layer.soft_top_k
            found[name] = mask.cpu().contiguous()
        (folder / MASKS).parent.mkdir(parents=True, exist_ok=True)
        save_file(found, folder / MASKS)
        plain: PreTrainedModel = trained
        return plain

    return finish


def _masked(mask: UnitMask) -> Callable[[nn.Module, Any], Any]:
    def hook(module: nn.Module, args: Any) -> Any:
        (units,) = args
        return (units * mask().to(units.dtype),)

    return hook


def _first_scores(layer: Any) -> Tensor:
    weights = (layer.gate_proj.weight, layer.up_proj.weight, layer.down_proj.weight)
    logs = importance(*(weight.detach().double() for weight in weights)).clamp(min=1e-30).log()
    return ((logs - logs.mean()) / logs.std().clamp(min=1e-6)).float()
