"""Callbacks of a stage that touch its weights: masks, and the merging of updates.

In: a job and its model, as `init` gave it. Out: callbacks for any trainer of transformers or TRL.
Shown by: `model: {sparse: 0.75}`, `optim: {merge: {…}}`. Limit: weights must be
whole on each rank (train.shared_checks).
"""

from __future__ import annotations

from transformers import PreTrainedModel, TrainerCallback

from train.job import Job
from train.models.open import load_folder
from train.online_merge import OnlineMerging
from train.weights.hold_zeros import HoldZeros
from train.weights.soft_top_k import Harden


def weight_callbacks(job: Job, model: PreTrainedModel) -> list[TrainerCallback]:
    """In the order in which they act: a merged update is masked."""
    step = job.step
    found: list[TrainerCallback] = []
    if step.model.soft_top_k is not None:
        found.append(Harden(model))
    if step.optim.merge is not None:
        base = load_folder(job.model_folder(step.optim.merge.base))
        known = {name: weight.detach() for name, weight in base.named_parameters()}
        found.append(OnlineMerging(model, known, step.optim.merge, step.seed))
    if step.model.sparse is not None:
        found.append(HoldZeros(model, step.model.sparse, step.seed))
    return found
