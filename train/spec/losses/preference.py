"""Losses of preference stages: which numbers each takes.

In: `loss: {dpo: {beta: 0.1, nll: 0.2, mask_formatting: true}}`. Out: a LossSpec.
Shown by: `gristmill plan`. Limit: one loss a stage; `train.losses.preference` has the formulas.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from train.spec.loss import LossSpec, register_loss


class Preference(LossSpec):
    """What all of them have."""

    KINDS: ClassVar[frozenset[str]] = frozenset({"preference"})

    # Weight of -log p of the chosen answer, a mean over tokens (Pang et al. 2024; 0.2 in Llama 3).
    nll: float = Field(default=0.0, ge=0)
    # Leave special tokens (headers, end of turn) out of both answers' log-probabilities, not out of
    # `nll`, which goes on teaching where an answer ends (Llama 3.1, section 4.1.4).
    mask_formatting: bool = False

    def open(self) -> Any:
        from train.losses.sequences import PreferenceObjective

        return PreferenceObjective(self)


@register_loss("dpo")
class Dpo(Preference):
    """Direct Preference Optimization (Rafailov et al. 2023)."""

    REFERENCE: ClassVar[bool] = True

    beta: float = Field(default=0.1, gt=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)  # share of wrong pairs


@register_loss("ipo")
class Ipo(Preference):
    """Identity Preference Optimization (Azar et al. 2023), of means over an answer's tokens."""

    REFERENCE: ClassVar[bool] = True

    beta: float = Field(default=0.1, gt=0)  # tau: the margin aimed at is 1 / (2 beta)


@register_loss("kto")
class Kto(Preference):
    """Kahneman-Tversky Optimization (Ethayarajh et al. 2024): answers are good or bad, unpaired.

    Rows: chats with the column `label` (true: good), whose last turn is the answer; or pairs, each
    of which is then two answers.
    """

    REFERENCE: ClassVar[bool] = True

    beta: float = Field(default=0.1, gt=0)
    desirable: float = Field(default=1.0, ge=0)  # weight of good answers
    undesirable: float = Field(default=1.0, ge=0)  # of bad ones
    label: str = "label"  # column of a chat: true or false, 1 or 0


@register_loss("simpo")
class Simpo(Preference):
    """SimPO (Meng et al. 2024): means over an answer's tokens, a margin, no reference."""

    beta: float = Field(default=2.0, gt=0)
    gamma: float = Field(default=1.0, ge=0)  # the margin, in the units of beta times a mean


@register_loss("orpo")
class Orpo(Preference):
    """ORPO (Hong et al. 2024): -log p of the chosen answer and an odds ratio, no reference."""

    beta: float = Field(default=0.1, ge=0)  # lambda: weight of the odds ratio
    nll: float = Field(default=1.0, ge=0)


@register_loss("rpo")
class Rpo(Preference):
    """Reward-aware Preference Optimization (Nemotron-4, 2024): the margin of the implicit
    rewards is to be eta times that of given ones."""

    REFERENCE: ClassVar[bool] = True

    beta: float = Field(default=0.1, gt=0)
    eta: float = Field(default=1.0, gt=0)
    distance: Literal["backward_kl", "forward_kl", "squared"] = "backward_kl"  # that of the paper
    chosen: str = "chosen_score"  # columns of rewards, as `select: pair` writes them
    rejected: str = "rejected_score"
