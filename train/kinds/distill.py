"""distill: a student learns a teacher's answers: stored ones, a live model's, or its own corrected.

In: rows of kind `teacher`; or a mixture or chats, and `teacher:`; or prompts, for kd_on_policy.
Out: a Stage. Shown by: `gristmill run pipelines/recipes/train/distill.yaml`.
Limit: student and teacher have one tokenizer.

Rows of kind `teacher` hold token ids: whoever made them tokenised with the student's tokenizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from train.data.plan import open_batches
from train.job import Job
from train.kinds.stage import Stage
from train.models.open import Opened
from train.spec.losses.distill import Distill
from train.spec.losses.on_policy import OnPolicy

if TYPE_CHECKING:
    from train.trainer import Batches


def open_stage(job: Job, opened: Opened) -> Stage:
    """Micro-batches, and the loss against a teacher that is stored with them or asked."""
    step, loss = job.step, job.step.objective
    if isinstance(loss, OnPolicy):
        from train.kinds.rl import open_stage as open_rollouts

        return open_rollouts(job, opened)
    batches = _batches(job, opened)
    if not isinstance(loss, Distill):  # cross-entropy: on a teacher's texts
        return Stage(opened.model, batches, loss.open())
    if not step.teachers:
        return Stage(opened.model, batches, loss.open())
    from train.models.teacher import open_teacher

    return Stage(opened.model, batches, loss.open(open_teacher(job, opened)))


def _batches(job: Job, opened: Opened) -> Batches:
    if job.rows is None:
        return open_batches(job)
    from train.data.rows import open_rows

    return open_rows(job, opened)
