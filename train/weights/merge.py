"""Merges: operations whose result has the shape of its inputs, tensor by tensor.

In: models of one architecture. Out: what `combine` makes of each tensor in float64.
Shown by: `average`, `ties`, `slerp`, … Limit: integers and booleans are taken from the first model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gristmill.errors import RecipeError
from mixtures.tokens.tokenizer_sources import Source
from train.weights.folder import Folder
from train.weights.match import must_match
from train.weights.op import Layout, Made, Make, WeightOp

if TYPE_CHECKING:
    from torch import Tensor

    from train.weights.model import Model


class Merge(WeightOp):
    """A merge of several models."""

    of: tuple[Source, ...]

    def sources(self) -> list[Source]:
        return list(self.of)

    def layout(self, folders: Sequence[Folder]) -> Layout:
        must_match(folders)
        return Layout(dict(folders[0].config), dict(folders[0].tensors))

    def open(self, models: Sequence[Model], seed: int) -> Make:
        def make(name: str) -> Made:
            first = models[0].raw(name)
            if not first.is_floating_point():
                return Made(first)
            return self.combine(name, (model[name] for model in models), seed)

        return make

    def combine(self, name: str, tensors: Iterable[Tensor], seed: int) -> Made:
        """One tensor, of float64 tensors in the order of `sources`, each read when it is asked."""
        raise RecipeError(f"op {self.NAME!r} has no combine()")


class FromBase(Merge):
    """A merge of differences from a base, which comes first."""

    base: Source

    def sources(self) -> list[Source]:
        return [self.base, *self.of]


def check_weights(weights: Sequence[float] | None, of: Sequence[Source], least: int = 1) -> None:
    """Raise RecipeError unless there are enough models and a weight for each."""
    if len(of) < least:
        raise RecipeError(f"of has {len(of)} models; name {least} or more")
    if weights is not None and len(weights) != len(of):
        raise RecipeError(f"weights has {len(weights)} numbers for {len(of)} models of `of`")
