"""Models that are asked and do not learn: the reference of a policy, the teacher of a student.

In: a job and its policy. Out: functions of a batch. Shown by: any `use: train, kind: rl` with a
`beta`. Limit: each is whole on every rank, beside the policy.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch

from train.job import Job
from train.losses.policy import token_logps
from train.models.open import Opened, load_folder
from train.models.teacher import open_teacher
from train.models.vocabulary import folder_files, must_agree, named
from train.rl.forward import columns_of, passed, targets
from train.rl.rollout import Reference
from train.spec import ModelSpec
from train.trainer import Batch

Teacher = Callable[[Batch, float], torch.Tensor]  # (batch, temperature): logits [b, c, v]


def reference_of(job: Job, opened: Opened) -> Reference:
    """What `reference` names, else the policy as it begins: a copy, or it without its adapter."""
    if job.step.reference is None and job.step.model.lora:
        return _without_adapter
    if job.step.reference is None:
        held = copy.deepcopy(opened.model)
    else:
        folder = job.model_folder(job.step.reference)
        where = f"the reference {named(job, job.step.reference)}"
        must_agree("the policy", opened.tokenizer, where, folder_files(folder))
        held = load_folder(folder, ModelSpec(attention=job.step.model.attention))
    held.eval().requires_grad_(False)

    def asked(policy: Any, batch: Batch, temperature: float) -> torch.Tensor:
        if held.device != policy.device:
            held.to(policy.device)
        return token_logps(passed(held, batch, temperature).logits, targets(batch))

    return asked


def _without_adapter(policy: Any, batch: Batch, temperature: float) -> torch.Tensor:
    with policy.disable_adapter():
        return token_logps(passed(policy, batch, temperature).logits, targets(batch))


def teacher_of(job: Job, opened: Opened) -> Teacher:
    """The models that `teacher` names, as one."""
    ask = open_teacher(job, opened)

    def asked(batch: Batch, temperature: float) -> torch.Tensor:
        ids = batch["input_ids"]
        positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        logits = ask({"input_ids": ids, "position_ids": positions})
        return logits[:, columns_of(batch)].float() / temperature

    return asked
