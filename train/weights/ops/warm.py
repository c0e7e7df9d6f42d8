"""warm: the mean of reward models (WARM, arXiv 2401.12187).

    theta = 1/M sum_i theta_i

WARM averages reward models that share the pre-trained weights and the start of their head, and
differ in data order, hyperparameters or the SFT checkpoint. So every model must have a head, of the
same outputs; heads that point away from each other are told.

In: reward models of one shape. Out: one reward model. Shown by: `warm: {of: [rm/a, rm/b, rm/c]}`.
Limit: a small angle between heads is a sign, no proof, that the mean is a good model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from gristmill.errors import RecipeError
from train.weights.folder import Folder
from train.weights.merge import Merge, check_weights
from train.weights.op import Layout, Made, register_op
from train.weights.ops.average import weighted_sum
from train.weights.vectors import angle

if TYPE_CHECKING:
    from torch import Tensor

    from train.weights.model import Model

HEAD = "score.weight"  # of AutoModelForSequenceClassification
ANGLES = "degrees between heads"
APART = 45.0  # ours


@register_op("warm")
class Warm(Merge):
    """The mean of reward models."""

    def check(self) -> None:
        check_weights(None, self.of, least=2)

    def layout(self, folders: Sequence[Folder]) -> Layout:
        for folder in folders:
            if HEAD not in folder.tensors:
                raise RecipeError(
                    f"{folder.label} has no {HEAD}: not a reward model (`kind: reward`); `average` "
                    "takes any models"
                )
        return super().layout(folders)

    def combine(self, name: str, tensors: Iterable[Tensor], seed: int) -> Made:
        return Made(weighted_sum(tensors, (1.0,) * len(self.of)) / len(self.of))

    def facts(self, models: Sequence[Model]) -> dict[str, Any]:
        heads = [model[HEAD] for model in models]
        angles = [round(angle(one, two), 3) for one, two in combinations(heads, 2)]
        return {ANGLES: angles}

    def notes(self, facts: Mapping[str, Any]) -> list[str]:
        names = [str(source) for source in self.of]
        found = zip(combinations(names, 2), facts[ANGLES], strict=True)
        far = [(*pair, degrees) for pair, degrees in found if degrees > APART]
        return [
            f"the heads of {one} and {two} point {degrees:.0f} degrees apart: their mean may rate "
            "at random. Reward models of WARM share the start of their head: train one for a short "
            "while, and let the others begin from it (`init: rm/start`)"
            for one, two, degrees in far
        ]
