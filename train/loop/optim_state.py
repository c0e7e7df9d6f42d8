"""The optimiser's state beside the weights, by the names of the parameters.

In: an optimiser. Out: `training/optimizer.safetensors`, and back into a fresh optimiser.
Shown by: `run: {keep_optimizer: true}`, then `init: {from: models/base, optimizer: carry}`.
Limit: whole tensors; the state of a sharded model stays in its checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from gristmill.errors import RecipeError, nearest
from gristmill.file_sets import BESIDE
from train.loop.optim import Joined

FILE = f"{BESIDE}/optimizer.safetensors"
_AT = "::"  # between a parameter's name and the state's


def save_state(optimizer: Any, name: str, folder: Path) -> None:
    """Write the state below a model's folder; `name`: the optimiser's, as recipes have it."""
    tensors = {
        f"{parameter}{_AT}{key}": torch.as_tensor(value).detach().cpu().contiguous()
        for parameter, p in named(optimizer)
        for key, value in optimizer.state.get(p, {}).items()
        if value is not None
    }
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, {"optimizer": name})


def carry_state(optimizer: Any, name: str, folder: Path, origin: str) -> None:
    """Read what `save_state` wrote; RecipeError where it is not this model's or optimiser's.

    Parameters that the file does not have begin without a state, if the model has new ones.
    """
    path = folder / FILE
    if not path.is_file():
        raise RecipeError(
            f"init.optimizer is 'carry': {origin} has no {FILE}; train it with "
            "`run: {keep_optimizer: true}`, or write `optimizer: fresh`"
        )
    with safe_open(path, "pt") as file:
        made_by = file.metadata()["optimizer"]
        if made_by != name:
            raise RecipeError(
                f"init.optimizer is 'carry': {origin} was trained with {made_by}, the stage's "
                f"optim.name is {name}; use {made_by}, or write `optimizer: fresh`"
            )
        kept: dict[str, dict[str, torch.Tensor]] = {}
        for key in file.keys():  # not a mapping
            parameter, _, of = key.rpartition(_AT)
            kept.setdefault(parameter, {})[of] = file.get_tensor(key)
    known = dict(named(optimizer))
    for parameter, state in kept.items():
        if parameter not in known:
            raise RecipeError(
                f"init.optimizer is 'carry': {origin} has a state of {parameter}, which the model "
                f"does not train{nearest(parameter, known)}; write `optimizer: fresh`"
            )
        for of, tensor in state.items():
            if tensor.ndim and tensor.shape != known[parameter].shape:
                raise RecipeError(
                    f"init.optimizer is 'carry': {parameter} is {tuple(known[parameter].shape)}, "
                    f"its {of} in {origin} {tuple(tensor.shape)}; write `optimizer: fresh`"
                )
    for part in optimizer.parts if isinstance(optimizer, Joined) else [optimizer]:
        for parameter, p in named(part):
            if parameter in kept:
                part.state[p] = {of: tensor.to(p.device) for of, tensor in kept[parameter].items()}


def named(optimizer: Any) -> Iterator[tuple[str, Any]]:
    """Parameters by name; groups made with names keep them."""
    for group in optimizer.param_groups:
        yield from zip(group["param_names"], group["params"], strict=True)
