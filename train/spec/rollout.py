"""What the policy writes while it learns: samples, their limits and their rewards.

In: `rollout: {samples: 8, max_tokens: 256, rewards: [{verifier: exact}]}`. Out: Rollout.
Shown by: `gristmill plan`. Limit: one policy writes; several are a recipe loop.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from gristmill.errors import RecipeError
from train.spec.base import Spec

ROW = "row"
CAP = 2.0


class Reward(Spec):
    """One of: the row's own verifier, a verifier by name, or a reward model."""

    verifier: str | None = None  # `row`: what each row names in its column `verifier`
    model: str | None = None  # a model of kind reward in the store
    weight: float = 1.0

    @model_validator(mode="after")
    def _one(self) -> Reward:
        if (self.verifier is None) == (self.model is None):
            raise RecipeError("a reward has one of `verifier` (row, or a name) and `model`")
        if self.verifier not in (None, ROW):
            from synth.verify import IN_SANDBOX, verifier

            if self.verifier != IN_SANDBOX:
                verifier(self.verifier)
        return self

    @property
    def name(self) -> str:
        """In the log."""
        return self.model or str(self.verifier)


class Rollout(Spec):
    """Sampling in training."""

    samples: int = Field(default=8, ge=1)  # of each prompt
    max_tokens: int = Field(default=256, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    engine: Literal["transformers", "vllm"] = "transformers"  # who writes the policy's samples
    # Of vllm: weights of samples, policy over engine, are at most this; null: no weights.
    cap: float | None = Field(default=CAP, ge=1)
    rewards: tuple[Reward, ...] = Field(default=(Reward(verifier=ROW),), min_length=1)
    updates: int = Field(default=1, ge=1)  # optimiser steps on each batch of samples
    # Completions that max_tokens cut: judged as they are, without reward, or not learnt from.
    truncated: Literal["judge", "zero", "mask"] = "judge"
    rows: int | None = Field(
        default=None, ge=1
    )  # samples written side by side; default: all of a step, of vllm at most 1024
