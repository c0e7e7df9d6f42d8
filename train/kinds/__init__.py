"""Kinds of stages: which data, loss and model each takes; imported when first named.

In: a job and its model. Out: a Stage. Shown by: any `use: train`.
Limit: a kind is a module here with `open_stage(job, opened)`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from train.job import Job
    from train.kinds.stage import Stage
    from train.models.open import Opened


def open_stage(job: Job, opened: Opened) -> Stage:
    """The stage that the job's kind means."""
    from train.models.experts import balanced

    module = import_module(f"train.kinds.{job.step.kind}")
    stage: Stage = module.open_stage(job, opened)
    if stage.objective is not None and stage.trainer is None:
        stage.objective = balanced(stage.model, stage.objective)
    return stage
