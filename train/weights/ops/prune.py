"""prune: weights set to 0: the smallest, random ones, or N of every M in a row.

Magnitude pruning drops the entries with the least |w| of each matrix. `by: random` draws a static
mask, as SPDF does before sparse pre-training (arXiv 2303.10464). `pattern: "2:4"` keeps the 2
largest of every 4 neighbours along a row, which sparse tensor cores take (arXiv 2104.08378).

The zeros are the mask: a stage with `model: {sparse: zeros}` keeps them, one without lets them
grow back, which is SPDF's dense fine-tuning.

In: a model. Out: the same with zeros. Shown by: `prune: {of: models/base, share: 0.5}`.
Limit: matrices of layers, each to the same share; embeddings, heads, norms and routers stay whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gristmill.errors import RecipeError
from mixtures.tokens.tokenizer_sources import Source
from train.weights.folder import Folder
from train.weights.layers import is_matrix
from train.weights.op import Layout, Made, Make, WeightOp, register_op

if TYPE_CHECKING:
    from torch import Tensor

    from train.weights.model import Model


@register_op("prune")
class Prune(WeightOp):
    """Weights set to 0."""

    of: Source
    share: float | None = Field(default=None, gt=0, lt=1)  # of each matrix that becomes 0
    pattern: str | None = None  # N:M instead of a share: N of every M in a row stay
    by: Literal["magnitude", "random"] = "magnitude"

    def sources(self) -> list[Source]:
        return [self.of]

    def check(self) -> None:
        if (self.share is None) == (self.pattern is None):
            raise RecipeError('prune has one of `share` (0.5) and `pattern` ("2:4")')
        if self.pattern is not None:
            kept, group = self.counts()
            if not 0 < kept < group:
                raise RecipeError(f"pattern {self.pattern!r}: N of M stay, with 0 < N < M")

    def counts(self) -> tuple[int, int]:
        """N and M of the pattern."""
        found = re.fullmatch(r"(\d+):(\d+)", self.pattern or "")
        if found is None:
            raise RecipeError(f'pattern is {self.pattern!r}; write "2:4": 2 of every 4 stay')
        return int(found[1]), int(found[2])

    def layout(self, folders: Sequence[Folder]) -> Layout:
        (folder,) = folders
        for name, entry in folder.tensors.items() if self.pattern else ():
            group = self.counts()[1]
            if is_matrix(name, entry) and entry.shape[1] % group:
                raise RecipeError(
                    f"pattern {self.pattern}: {name} is {list(entry.shape)}, whose rows do not "
                    f"divide by {group}"
                )
        return Layout(dict(folder.config), dict(folder.tensors))

    def open(self, models: Sequence[Model], seed: int) -> Make:
        (model,) = models

        def make(name: str) -> Made:
            tensor = model.raw(name)
            if not is_matrix(name, model.folder.tensors[name]):
                return Made(tensor)
            mask = self.mask(tensor, seed, name)
            return Made(tensor * mask, kept=int(mask.count_nonzero()) / mask.numel())

        return make

    def mask(self, tensor: Tensor, seed: int, name: str) -> Tensor:
        """bool: true where a weight stays."""
        from train.weights.draws import uniform

        weight = (
            tensor.abs() if self.by == "magnitude" else uniform(tensor.shape, seed, "prune", name)
        )
        if self.pattern is not None:
            kept, group = self.counts()
            return largest_of_each(weight.reshape(-1, group), kept).reshape(tensor.shape)
        assert self.share is not None
        keep = round((1 - self.share) * tensor.numel())
        return largest(weight, keep).reshape(tensor.shape)


def largest(weight: Tensor, keep: int) -> Tensor:
    """bool, flat: true at the `keep` largest; of equals, those that stand first."""
    flat = weight.flatten()
    if keep >= flat.numel():
        return flat == flat
    if keep == 0:
        return flat != flat
    least = flat.kthvalue(flat.numel() - keep + 1).values
    mask = flat > least
    equal = (flat == least).nonzero().flatten()
    mask[equal[: keep - int(mask.count_nonzero())]] = True
    return mask


def largest_of_each(groups: Tensor, keep: int) -> Tensor:
    """bool[groups, size]: the same in each row."""
    order = groups.argsort(dim=1, descending=True, stable=True)
    return (groups != groups).scatter_(1, order[:, :keep], True)
