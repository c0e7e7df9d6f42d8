"""slice: feed-forward layers cut to their most important units, the same number in each layer.

    FFN(x) = sum_j W_down[:, j] act(W_gate[j] x) (W_up[j] x)

A unit j is a row of W_gate and W_up and a column of W_down. Apple's on-device model is cut so from
a larger one, in the hidden dimension of the FFN alone (arXiv 2407.21075).
`by: norm` scores a unit by |W_gate[j]| |W_up[j]| |W_down[:, j]|, which bounds its part of the sum.
`by: mask` takes the mask that a stage with `model: {soft_top_k: …}` learned (masks/ffn.safetensors)
and has put into its W_down: where it is 0 for all that is cut, the sliced model computes the same.

In: a model. Out: a smaller one, to train on. Shown by: `slice: {of: models/base, keep: 0.5}`.
Limit: FFNs with gate_proj, up_proj and down_proj: Llama, Qwen, Mistral, Gemma.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gristmill.errors import RecipeError
from mixtures.tokens.tokenizer_sources import Source
from train.weights.folder import Entry, Folder
from train.weights.layers import place_of
from train.weights.op import Layout, Made, Make, WeightOp, register_op

if TYPE_CHECKING:
    from torch import Tensor

    from train.weights.model import Model

_ROWS = ("mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.gate_proj.bias", "mlp.up_proj.bias")
_COLUMNS = "mlp.down_proj.weight"
MASKS = "masks/ffn.safetensors"  # beside the weights; `model.layers.N.mlp` -> float32[units]


@register_op("slice")
class Slice(WeightOp):
    """Feed-forward layers with fewer units."""

    of: Source
    keep: float = Field(gt=0)  # units of each layer; below 1: their share
    by: Literal["norm", "mask"] = "norm"

    def sources(self) -> list[Source]:
        return [self.of]

    def files(self) -> list[str]:
        found = super().files()
        masks = Path(found[0]).parent / MASKS if found else None
        if self.by == "mask" and masks is not None and masks.is_file():
            found.append(str(masks))
        return found

    def check(self) -> None:
        if self.keep >= 1 and self.keep != int(self.keep):
            raise RecipeError(f"keep is {self.keep}; write whole units, or a share below 1")

    def planned(self, config: dict[str, Any]) -> dict[str, Any]:
        size = int(config.get("intermediate_size", 0))
        keep = round(self.keep * size) if self.keep < 1 else int(self.keep)
        return {**config, "intermediate_size": keep}

    def units(self, folder: Folder) -> int:
        """How many units stay."""
        size = folder.config.get("intermediate_size")
        if not isinstance(size, int) or not any(_COLUMNS in name for name in folder.tensors):
            raise RecipeError(
                f"{folder.label} ({folder.config.get('model_type')}) has no mlp.down_proj with one "
                "intermediate_size: slice cuts dense gated FFNs"
            )
        keep = round(self.keep * size) if self.keep < 1 else int(self.keep)
        if not 0 < keep <= size:
            raise RecipeError(f"keep is {self.keep}; {folder.label} has {size} units in each FFN")
        return keep

    def layout(self, folders: Sequence[Folder]) -> Layout:
        (folder,) = folders
        keep = self.units(folder)
        if self.by == "mask" and not (folder.path / MASKS).is_file():
            raise RecipeError(
                f"{folder.label} has no {MASKS}: train it with `model: {{soft_top_k: {{keep: "
                f"{keep}}}}}`, or slice `by: norm`"
            )
        tensors = dict(folder.tensors)
        for name, entry in tensors.items():
            place = place_of(name)
            if place is not None and place.part in _ROWS:
                tensors[name] = Entry(entry.dtype, (keep, *entry.shape[1:]))
            elif place is not None and place.part == _COLUMNS:
                tensors[name] = Entry(entry.dtype, (entry.shape[0], keep))
        return Layout({**folder.config, "intermediate_size": keep}, tensors)

    def open(self, models: Sequence[Model], seed: int) -> Make:
        (model,) = models
        keep = self.units(model.folder)
        masks = _masks(model) if self.by == "mask" else {}

        @cache
        def chosen(before: str, layer: int) -> Tensor:
            """Units that stay, in their order."""
            if self.by == "mask":
                score = masks[f"{before}{layer}.mlp"].double()
            else:
                parts = (f"{before}{layer}.{part}" for part in (*_ROWS[:2], _COLUMNS))
                score = importance(*(model[part] for part in parts))
            return score.argsort(descending=True, stable=True)[:keep].sort().values

        def make(name: str) -> Made:
            place, tensor = place_of(name), model.raw(name)
            if place is None or place.part not in (*_ROWS, _COLUMNS):
                return Made(tensor)
            units = chosen(place.before, place.layer)
            share = keep / tensor.shape[1 if place.part == _COLUMNS else 0]
            if place.part != _COLUMNS:
                return Made(tensor[units], kept=share)
            return Made(tensor[:, units], kept=share)

        return make


def importance(gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """float64[units]: the product of the norms of a unit's weights (ours)."""
    return gate.norm(dim=1) * up.norm(dim=1) * down.norm(dim=0)


def _masks(model: Model) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(model.folder.path / MASKS)
