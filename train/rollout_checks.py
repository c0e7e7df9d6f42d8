"""What is refused of a stage that samples: before anything is loaded, without torch.

In: a stage with a `rollout`. Out: nothing, or RecipeError with the fix.
Shown by: `gristmill plan`. Limit: whether a prompt fits is known when the rows are tokenised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.errors import RecipeError
from train.spec import Rollout, Rows
from train.spec.losses.on_policy import OnPolicy
from train.spec.losses.policy import PolicyLoss, Ppo

if TYPE_CHECKING:
    from train.step import Train


def check_rollout(step: Train, rollout: Rollout) -> None:
    """Raise RecipeError for samples that the loss cannot learn from, and engines that are not."""
    loss = step.objective
    if not isinstance(step.data, Rows):
        raise RecipeError(
            f"loss {loss.NAME!r} writes answers to prompts: `data: {{rows: NAME, batch: 32}}`, "
            "rows of kind prompt, not a mixture"
        )
    if rollout.samples < loss.SAMPLES:
        raise RecipeError(
            f"rollout.samples is {rollout.samples}; {loss.NAME} compares the samples of a prompt "
            f"with each other and needs {loss.SAMPLES} or more"
        )
    if rollout.max_tokens >= step.data.max_length:
        raise RecipeError(
            f"rollout.max_tokens is {rollout.max_tokens} and data.max_length "
            f"{step.data.max_length}, prompt and completion together: no prompt would fit"
        )
    if rollout.engine == "vllm":
        raise RecipeError(
            "rollout.engine is 'vllm', which does not take new weights at every step here; write "
            "transformers (the default), or learn in rounds of `use: synthesize`, whose engines do"
        )
    if isinstance(loss, OnPolicy) and not step.teachers:
        raise RecipeError("loss kd_on_policy asks a teacher as it trains: `teacher: models/large`")
    if isinstance(loss, PolicyLoss) and step.reference and not loss.beta:
        raise RecipeError(
            f"reference is {step.reference!r}, and {loss.NAME}.beta is 0, so nothing asks it; give "
            "beta, or leave reference out"
        )
    if isinstance(loss, Ppo) and step.model.lora:
        raise RecipeError("loss ppo trains a critic beside the weights; leave `model.lora` out")
