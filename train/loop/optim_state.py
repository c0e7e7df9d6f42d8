"""The optimiser's state beside the weights, by the names of the parameters.

In: an optimiser. Out: `training/optimizer.safetensors`, and back into a fresh optimiser.
Shown by: `run: {keep_optimizer: true}`, then `init: {from: models/base, optimizer: carry}`.
Limit: whole tensors, all of them in the first rank's memory.
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
from train.loop.sharding import gathered, like

FILE = f"{BESIDE}/optimizer.safetensors"
_AT = "::"  # between a parameter's name and the state's


def state_of(optimizer: Any, first: bool = True) -> dict[str, torch.Tensor]:
    """The state, on the CPU of the first rank; {} on others. All ranks call it."""
    return gathered(
        (
            (f"{parameter}{_AT}{key}", torch.as_tensor(value))
            for parameter, p in named(optimizer)
            for key, value in optimizer.state.get(p, {}).items()
            if value is not None
        ),
        first,
    )


def save_state(tensors: dict[str, torch.Tensor], name: str, folder: Path) -> None:
    """Write a state below a model's folder; `name`: the optimiser's, as recipes have it."""
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


def lifted(optimizer: Any) -> dict[str, dict[str, Any]]:
    """The state by name, taken out of an optimiser: ranks are about to share its parameters."""
    found = {name: optimizer.state[p] for name, p in named(optimizer) if p in optimizer.state}
    optimizer.state.clear()
    return found


def give_back(optimizer: Any, state: dict[str, dict[str, Any]]) -> None:
    """Each rank's part of what `lifted` took."""
    for name, p in named(optimizer):
        if name in state:
            optimizer.state[p] = {of: like(tensor, p) for of, tensor in state[name].items()}


def named(optimizer: Any) -> Iterator[tuple[str, Any]]:
    """Parameters by name; groups made with names keep them."""
    for group in optimizer.param_groups:
        yield from zip(group["param_names"], group["params"], strict=True)
