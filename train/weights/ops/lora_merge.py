"""lora_merge: a low-rank adapter into the weights it was trained on (LoRA, arXiv 2106.09685).

    W' = W + s B A,  s = alpha / r, or alpha / sqrt(r) where the adapter is rank-stabilised

In: a model with its adapter beside it (`model: {lora: {merge: false}}`), or an adapter's own folder
and its base. Out: a model without adapter. Shown by: `lora_merge: {of: models/tuned}`.
Limit: linear layers and embeddings saved whole; DoRA and trained biases are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gristmill.errors import RecipeError
from mixtures.tokens.tokenizer_sources import Source, dataset_of
from train.spec.init import model_files
from train.weights.folder import ADAPTER, ADAPTER_CONFIG, BESIDE, Folder
from train.weights.op import Layout, Made, Make, WeightOp, register_op

if TYPE_CHECKING:
    from train.weights.model import Model

_PREFIX = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"


@register_op("lora_merge")
class LoraMerge(WeightOp):
    """An adapter merged into its base."""

    ADAPTERS: ClassVar[bool] = True

    of: Source  # with the adapter in its subfolder `adapter`, or an adapter's own ./folder
    base: Source | None = None  # default: the weights beside the adapter

    def sources(self) -> list[Source]:
        return [self.of if self.base is None else self.base, self.of]

    def files(self) -> list[str]:
        found = model_files(self.sources()[0])
        if isinstance(self.of, str) and dataset_of(self.of) is None:
            folder = self.inner(1, Path(self.of).expanduser())
            found += [str(folder / name) for name in (ADAPTER_CONFIG, ADAPTER)]
        return found

    def inner(self, place: int, folder: Path) -> Path:
        return folder / BESIDE if place == 1 and (folder / BESIDE).is_dir() else folder

    def layout(self, folders: Sequence[Folder]) -> Layout:
        base, adapter = folders
        _check(adapter)
        for target, (down, up) in pairs(adapter).items():
            if target not in base.tensors:
                raise RecipeError(f"{adapter.label} adapts {target}, which {base.label} lacks")
            made = [adapter.tensors[up].shape[0], adapter.tensors[down].shape[1]]
            if adapter.config.get("fan_in_fan_out"):
                made.reverse()
            if made != list(base.tensors[target].shape):
                raise RecipeError(
                    f"{target} is {list(base.tensors[target].shape)} in {base.label}; the adapter "
                    f"{adapter.label} makes {made}: it belongs to another base"
                )
        for target, whole in wholes(adapter).items():
            if target not in base.tensors:
                raise RecipeError(f"{adapter.label} replaces {target}, which {base.label} lacks")
            shapes = base.tensors[target].shape, adapter.tensors[whole].shape
            if shapes[0] != shapes[1]:
                raise RecipeError(
                    f"{target} is {list(shapes[0])} in {base.label} and {list(shapes[1])} in "
                    f"{adapter.label}"
                )
        return Layout(dict(base.config), dict(base.tensors))

    def open(self, models: Sequence[Model], seed: int) -> Make:
        base, adapter = models
        config, two = adapter.folder.config, pairs(adapter.folder)
        one = wholes(adapter.folder)

        def make(name: str) -> Made:
            if name in one:
                return Made(adapter.raw(one[name]))
            if name not in two:
                return Made(base.raw(name))
            down, up = (adapter[part] for part in two[name])
            delta = (up @ down) * scale(config, name, down.shape[0])
            return Made(base[name] + (delta.T if config.get("fan_in_fan_out") else delta))

        return make

    def facts(self, models: Sequence[Model]) -> dict[str, Any]:
        return {"adapted": len(pairs(models[1].folder)), "replaced": len(wholes(models[1].folder))}


def pairs(adapter: Folder) -> dict[str, tuple[str, str]]:
    """Tensor of the base -> its A [r, in] and B [out, r]."""
    found = {}
    for name in adapter.tensors:
        if name.endswith(_DOWN):
            stem = name.removesuffix(_DOWN)
            found[stem.removeprefix(_PREFIX) + ".weight"] = (name, stem + _UP)
    return found


def wholes(adapter: Folder) -> dict[str, str]:
    """Tensor of the base -> what replaces it (modules_to_save)."""
    plain = (name for name in adapter.tensors if ".lora_" not in name)
    return {name.removeprefix(_PREFIX): name for name in plain}


def scale(config: dict[str, Any], target: str, rank: int) -> float:
    """s of the formula; `alpha_pattern` holds exceptions by the end of a module's name."""
    module = target.removesuffix(".weight")
    alpha = float(config["lora_alpha"])
    for pattern, other in (config.get("alpha_pattern") or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", module):
            alpha = float(other)
            break
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _check(adapter: Folder) -> None:
    config = adapter.config
    if config.get("peft_type") != "LORA":
        raise RecipeError(
            f"{adapter.label} is no LoRA adapter (peft_type {config.get('peft_type')!r}); "
            "lora_merge wants the folder that holds adapter_config.json"
        )
    for key, plain in (("use_dora", False), ("bias", "none"), ("lora_bias", False)):
        if config.get(key, plain) != plain:
            raise RecipeError(
                f"{adapter.label} has {key}: {config[key]!r}; merge it with peft's merge_and_unload"
            )
    known = (_DOWN, _UP)
    odd = [n for n in adapter.tensors if ".lora_" in n and not n.endswith(known)]
    if odd:
        raise RecipeError(
            f"{adapter.label} has {odd[0]}; merge it with peft's merge_and_unload: only A and B of "
            "linear layers are known here"
        )
