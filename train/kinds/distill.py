"""distill: a student learns a teacher's answers: stored ones, a live model's, or its own corrected.

In: rows of kind `teacher`; or a mixture or chats, and `teacher:`; or prompts, for kd_on_policy.
Out: a Stage. Shown by: `gristmill run pipelines/recipes/train/distill.yaml`.
Limit: student and teacher have one tokenizer.

Rows of kind `teacher` hold token ids: whoever made them tokenised with the student's tokenizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.errors import RecipeError
from train.data.plan import open_batches
from train.data.prepared import Prepared
from train.job import Job
from train.kinds.stage import Stage
from train.models.open import Opened
from train.spec.losses.distill import Distill
from train.spec.losses.on_policy import OnPolicy

if TYPE_CHECKING:
    from train.trainer import Batches

LOOKED_AT = 1 << 22  # tokens
IDS = "top_ids"


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

    found = open_rows(job, opened)
    check_tokens(found.prepared, opened.model.config.vocab_size)
    return found


def check_tokens(prepared: Prepared, vocabulary: int) -> None:
    """RecipeError where a teacher's rows hold tokens that the student has not.

    Looked for in the first tokens only: rows of another tokenizer show it soon, if at all.
    """
    told = [prepared.ids[:LOOKED_AT], *(v[:LOOKED_AT] for k, v in prepared.top.items() if k == IDS)]
    largest = max(int(values.max(initial=0)) for values in told)
    if largest >= vocabulary:
        raise RecipeError(
            f"data.rows hold token {largest}, the student has {vocabulary:,} (0 up to one less): "
            "they were made with another tokenizer; score the texts with a teacher of the student's"
        )
