"""pretrain: next tokens of a mixture, from random weights or a checkpoint."""

from __future__ import annotations

from train.data.plan import open_batches
from train.job import Job
from train.kinds.stage import Stage
from train.models.open import Opened


def open_stage(job: Job, opened: Opened) -> Stage:
    """A mixture's rows and a token-wise loss."""
    return Stage(opened.model, open_batches(job), job.step.objective.open())
