"""Models that are asked and do not learn: the reference of a policy, the teacher of a student.

In: a job, its policy. Out: a frozen module, or a function of log-probabilities.
Shown by: any `use: train, kind: rl` with `beta`.
Limit: each is whole on every rank, beside the policy.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from gristmill.errors import RecipeError
from train.job import Job
from train.losses.policy import token_logps
from train.rl.forward import passed, targets
from train.rl.rollout import Reference
from train.trainer import Batch


def frozen(job: Job, ref: str, policy: Any) -> Any:
    """A model of the store on the policy's device; RecipeError for another vocabulary."""
    found = AutoModelForCausalLM.from_pretrained(job.model_folder(ref), dtype="float32")
    sizes = [m.get_output_embeddings().weight.shape[0] for m in (found, policy)]
    if sizes[0] != sizes[1]:
        raise RecipeError(
            f"{ref!r} has {sizes[0]} tokens and the model that learns {sizes[1]}; both must have "
            "one tokenizer"
        )
    return found.eval().requires_grad_(False).to(policy.device)


def reference_of(job: Job, policy: Any) -> Reference:
    """What `reference` names, else the policy as it begins: a copy, or it without its adapter."""
    if job.step.reference is None and job.step.model.lora:
        return _without_adapter
    if job.step.reference is not None:
        held = frozen(job, job.step.reference, policy)
    else:
        held = copy.deepcopy(policy).eval().requires_grad_(False)

    def asked(policy: Any, batch: Batch, temperature: float) -> torch.Tensor:
        return token_logps(
            passed(held.to(policy.device), batch, temperature).logits, targets(batch)
        )

    return asked


def _without_adapter(policy: Any, batch: Batch, temperature: float) -> torch.Tensor:
    with policy.disable_adapter():
        return token_logps(passed(policy, batch, temperature).logits, targets(batch))
