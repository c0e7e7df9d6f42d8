"""grow: a deeper model from the layers of a trained one.

`times: g` is G_stack, depthwise stacking (arXiv 2405.15319): all layers, g times over:
1 … L, 1 … L. The paper trains 7B so in 54.6 % less compute, with g = 4 and a base trained on a few
billion tokens. `layers:` writes the order by hand, counted from 0; SOLAR's depth up-scaling of 32
layers is 0 … 23, 8 … 31 (arXiv 2312.15166).

In: a model. Out: a deeper (or, with fewer layers, a shallower) one, to train on.
Shown by: `grow: {of: models/small, times: 2}`.
Limit: the result does not compute what the model did; training mends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from gristmill.errors import RecipeError
from mixtures.tokens.tokenizer_sources import Source
from train.weights.folder import Folder
from train.weights.layers import chosen_layers, layers_of, place_of
from train.weights.op import Layout, Made, Make, WeightOp, register_op

if TYPE_CHECKING:
    from train.weights.model import Model


@register_op("grow")
class Grow(WeightOp):
    """Layers in another order and number."""

    of: Source
    times: int | None = Field(default=None, ge=2)  # G_stack's growth factor
    layers: tuple[int, ...] | None = None  # instead: layers of the model, in their new order

    def sources(self) -> list[Source]:
        return [self.of]

    def check(self) -> None:
        if (self.times is None) == (self.layers is None):
            raise RecipeError("grow has one of `times` (2) and `layers` ([0, 1, 1, 2])")
        if self.layers is not None and not self.layers:
            raise RecipeError("layers is empty; a model has at least one")

    def planned(self, config: dict[str, Any]) -> dict[str, Any]:
        count = int(config.get("num_hidden_layers", 0))
        times = list(range(count)) * (self.times or 1)
        return chosen_layers(config, times if self.layers is None else list(self.layers))

    def order(self, folder: Folder) -> list[int]:
        """The layer of the model that each new layer copies."""
        count = layers_of(folder)
        if self.times is not None:
            return list(range(count)) * self.times
        assert self.layers is not None
        for layer in self.layers:
            if not 0 <= layer < count:
                raise RecipeError(f"layers has {layer}; {folder.label} has layers 0 to {count - 1}")
        return list(self.layers)

    def layout(self, folders: Sequence[Folder]) -> Layout:
        (folder,) = folders
        order = self.order(folder)
        tensors = {}
        for name, entry in folder.tensors.items():
            place = place_of(name)
            if place is None:
                tensors[name] = entry
                continue
            for new, old in enumerate(order):
                if old == place.layer:
                    tensors[place.at(new)] = entry
        return Layout(chosen_layers(folder.config, order), tensors)

    def open(self, models: Sequence[Model], seed: int) -> Make:
        (model,) = models
        order = self.order(model.folder)

        def make(name: str) -> Made:
            place = place_of(name)
            return Made(model.raw(name if place is None else place.at(order[place.layer])))

        return make
