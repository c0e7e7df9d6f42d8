"""Losses of reward models: which columns and numbers each takes.

In: `loss: {bradley_terry: {margin: margin}}`. Out: a LossSpec. Shown by: `gristmill plan`.
Limit: one loss a stage; `train.losses.reward` has the formulas.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, model_validator

from gristmill.errors import RecipeError
from train.spec.loss import LossSpec, register_loss


class RewardLoss(LossSpec):
    """What all of them have."""

    KINDS: ClassVar[frozenset[str]] = frozenset({"reward"})

    def open(self) -> Any:
        from train.losses.rewards import RewardObjective

        return RewardObjective(self)

    def heads(self) -> int:
        """Numbers that the model gives a conversation while it is trained."""
        return 1


@register_loss("bradley_terry")
class BradleyTerry(RewardLoss):
    """-log sigmoid of the difference of two rewards (Bradley and Terry 1952).

    Where rows have the column `edited` (Llama 3.1, section 4.1.2: edited > chosen > rejected), the
    mean over the pairs of the three.
    """

    margin: str | None = None  # a column that is subtracted from the difference (Llama 2)
    center: float = Field(default=0.0, ge=0)  # weight of (sum of both rewards)^2 (Eisenstein 2023)


@register_loss("soft_label")
class SoftLabel(RewardLoss):
    """Bradley-Terry towards a probability by level of preference, and grades (AFM, 2024).

    The targets are AFM's. Its term of the grades is lambda times a sum over grades and answers,
    lambda untold; ours is `grading` times their mean. Its heads of grades are small networks, ours
    are linear.

    Rows: `level` from 1 (least) to the number of `targets`. `grades` names single-sided gradings:
    truthfulness is read from the columns chosen_truthfulness and rejected_truthfulness, whole
    numbers from 0 to levels - 1, null where there is none; each has a head that the saved model has
    not.
    """

    level: str = "level"
    targets: tuple[float, ...] = (0.65, 0.75, 0.85, 0.95)  # probability that chosen is better
    grades: dict[str, int] = Field(default={})  # name -> number of levels
    grading: float = Field(default=0.1, ge=0)  # weight of their cross-entropies' mean; 0.1 is ours

    @model_validator(mode="after")
    def _in_range(self) -> SoftLabel:
        if not self.targets or not all(0.5 <= target <= 1 for target in self.targets):
            raise RecipeError(f"targets {self.targets}: probabilities from 0.5 to 1, one a level")
        if any(levels < 2 for levels in self.grades.values()):
            raise RecipeError(f"grades {self.grades}: each needs 2 levels or more")
        return self

    def heads(self) -> int:
        return 1 + sum(self.grades.values())


@register_loss("attributes")
class Attributes(RewardLoss):
    """Squared error of several attributes (HelpSteer2 and Nemotron-4, 2024).

    Rows: a conversation (`messages`, or `prompt` and `response`) and a column of each attribute;
    null: not rated. With `weights` the saved model gives one reward, their weighted sum.
    """

    columns: tuple[str, ...] = Field(
        default=("helpfulness", "correctness", "coherence", "complexity", "verbosity"), min_length=1
    )
    weights: dict[str, float] = Field(default={})

    @model_validator(mode="after")
    def _known(self) -> Attributes:
        if unknown := sorted(set(self.weights) - set(self.columns)):
            raise RecipeError(f"weights has {unknown}, which columns has not: {self.columns}")
        return self

    def heads(self) -> int:
        return len(self.columns)
