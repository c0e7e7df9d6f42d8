"""What is refused of a stage that samples: before anything is loaded, without torch.

In: a stage with a `rollout`. Out: nothing, or RecipeError with the fix.
Shown by: `gristmill plan`. Limit: whether a prompt fits is known when the rows are tokenised.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from gristmill.errors import RecipeError
from train.spec import Rollout, Rows
from train.spec.losses.on_policy import OnPolicy
from train.spec.losses.policy import PolicyLoss, Ppo
from train.spec.rollout import CAP

if TYPE_CHECKING:
    from train.step import Train

COLDEST = 0.01  # vLLM draws as at this temperature where a lower one is asked for


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
    if rollout.cap != CAP and (rollout.engine != "vllm" or isinstance(loss, OnPolicy)):
        raise RecipeError(
            f"rollout.cap is {rollout.cap}: it limits the weights of what vLLM wrote in the losses "
            f"of kind rl; engine is {rollout.engine!r} and the loss {loss.NAME}; leave it out"
        )
    if rollout.engine == "vllm":
        _check_vllm(step, rollout)
    if isinstance(loss, OnPolicy) and not step.teachers:
        raise RecipeError("loss kd_on_policy asks a teacher as it trains: `teacher: models/large`")
    if isinstance(loss, PolicyLoss) and step.reference and not loss.beta:
        raise RecipeError(
            f"reference is {step.reference!r}, and {loss.NAME}.beta is 0, so nothing asks it; give "
            "beta, or leave reference out"
        )
    if isinstance(loss, Ppo) and step.model.lora:
        raise RecipeError("loss ppo trains a critic beside the weights; leave `model.lora` out")


def _check_vllm(step: Train, rollout: Rollout) -> None:
    """Raise RecipeError for what the vLLM in the stage's process cannot do."""
    otherwise = "or write `engine: transformers` (the default)"
    if step.run.ranks > 1:
        raise RecipeError(
            f"rollout.engine is 'vllm' and run.ranks {step.run.ranks}: the engine is given whole "
            "weights, which ranks share, and when it ends takes the groups down by which they "
            f"talk; train with one rank, {otherwise}"
        )
    if step.model.quantize or step.model.soft_top_k:
        key = "quantize" if step.model.quantize else "soft_top_k"
        raise RecipeError(
            f"rollout.engine is 'vllm' and the stage has model.{key}: the policy then computes "
            f"what its plain weights, which vLLM is given, do not; leave it out, {otherwise}"
        )
    if rollout.temperature < COLDEST:
        raise RecipeError(
            f"rollout.temperature is {rollout.temperature}, and vLLM knows none below {COLDEST}; "
            f"raise it, {otherwise}"
        )
    if find_spec("vllm") is None:
        raise RecipeError(
            "rollout.engine is 'vllm', which needs the package vllm: "
            f"`pip install 'gristmill[vllm]'`, {otherwise}"
        )
