"""Losses of kind rl: grpo, rloo, mdloo, ppo; formulas and sources: train/losses/policy.py."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from train.spec.loss import LossSpec, register_loss


class PolicyLoss(LossSpec):
    """What the four share."""

    KINDS: ClassVar[frozenset[str]] = frozenset({"rl"})
    REFERENCE: ClassVar[bool] = True

    beta: float = Field(
        default=0.05, ge=0
    )  # of the KL with the reference; 0: no reference is loaded

    def open(self) -> Any:
        from train.rl.objective import policy_objective

        return policy_objective(self)


@register_loss("grpo")
class Grpo(PolicyLoss):
    """Advantages within a group; tokens clipped; the KL is a term of the loss."""

    SAMPLES: ClassVar[int] = 2

    beta: float = Field(default=0.0, ge=0)
    epsilon: float = Field(default=0.2, gt=0, lt=1)  # ratios below 1 - epsilon are cut
    epsilon_high: float | None = Field(default=None, gt=0)  # above 1 + this; default: epsilon
    scale_rewards: Literal["group", "batch", "none"] = "group"  # by which standard deviation
    normalize: Literal["grpo", "dapo", "dr_grpo"] = "dapo"  # over rows, tokens, or a constant


@register_loss("rloo")
class Rloo(PolicyLoss):
    """Leave-one-out advantages of the reward less beta * KL; whole completions clipped."""

    SAMPLES: ClassVar[int] = 2

    epsilon: float = Field(default=0.2, gt=0, lt=1)
    epsilon_high: float | None = Field(default=None, gt=0)


@register_loss("mdloo")
class Mdloo(PolicyLoss):
    """Leave-one-out advantages as rloo; KL(π || π_k) / eta instead of a clip.

    With one update on each batch of samples π is π_k, and the term has no gradient.
    """

    SAMPLES: ClassVar[int] = 2

    eta: float = Field(default=1.0, gt=0)  # larger: longer steps


@register_loss("ppo")
class Ppo(PolicyLoss):
    """Clipped tokens with a value model; beta * KL is taken from the reward of each token."""

    epsilon: float = Field(default=0.2, gt=0, lt=1)
    epsilon_high: float | None = Field(default=None, gt=0)
    value: Literal["head", "model"] = "head"  # on the policy's own states, or a network beside it
    value_weight: float = Field(default=0.1, gt=0)
    epsilon_value: float = Field(default=0.2, gt=0)
    gamma: float = Field(default=1.0, gt=0, le=1)
    lam: float = Field(default=0.95, ge=0, le=1)
    whiten: bool = True  # advantages: mean 0, variance 1 over the step's tokens
