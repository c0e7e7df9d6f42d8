"""Names of tensors: the layer they belong to, and what they are in it.

In: `model.layers.3.mlp.up_proj.weight`. Out: its parts. Shown by: the report of `use: checkpoint`.
Limit: decoder layers are those below `.layers.N.`, as in Llama, Qwen, Mistral, Gemma and Phi.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gristmill.errors import RecipeError
from train.weights.folder import Entry, Folder

_LAYER = re.compile(r"^(.*\blayers\.)(\d+)\.(.+)$")
ROUTERS = (".gate.weight", ".router.weight")  # of experts
PER_LAYER = ("layer_types", "mlp_layer_types", "no_rope_layers")  # lists with an entry a layer


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor of a layer: `before` + `layer` + `.` + `part`."""

    before: str
    layer: int
    part: str  # mlp.up_proj.weight

    def at(self, layer: int, part: str | None = None) -> str:
        """The name of a part in a layer."""
        return f"{self.before}{layer}.{self.part if part is None else part}"


def place_of(name: str) -> Place | None:
    """The parts of a layer's tensor; None for embeddings, the last norm, heads."""
    found = _LAYER.match(name)
    return None if found is None else Place(found[1], int(found[2]), found[3])


def is_matrix(name: str, entry: Entry) -> bool:
    """Whether a tensor is a weight matrix of a layer; routers of experts are not meant."""
    place = place_of(name)
    return place is not None and len(entry.shape) == 2 and not name.endswith(ROUTERS)


def layers_of(folder: Folder) -> int:
    """Layers of a model; RecipeError where config and weights disagree."""
    places = (place_of(name) for name in folder.tensors)
    count = 1 + max((place.layer for place in places if place is not None), default=-1)
    if count != folder.config.get("num_hidden_layers"):
        raise RecipeError(
            f"{folder.label} has weights of {count} layers and num_hidden_layers "
            f"{folder.config.get('num_hidden_layers')}: not a decoder whose layers can be moved"
        )
    return count


def chosen_layers(config: dict[str, Any], order: Sequence[int]) -> dict[str, Any]:
    """A config for these layers of the model, in this order."""
    found = {**config, "num_hidden_layers": len(order)}
    count = config["num_hidden_layers"]
    if config.get("per_layer_config"):
        raise RecipeError("layers of different shapes (per_layer_config) cannot be moved")
    for key in PER_LAYER:
        if isinstance(config.get(key), list) and len(config[key]) == count:
            found[key] = [config[key][layer] for layer in order]
    return found
