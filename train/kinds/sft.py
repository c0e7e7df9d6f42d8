"""sft: answers of chats, from rows or a mixture; what is learnt is the assistant's turns."""

from __future__ import annotations

from gristmill.store import Store
from mixtures.plan import open_plan
from mixtures.tokens.chat import TEMPLATE
from mixtures.tokens.tokenizers import tokenizer_files
from train.data.plan import open_batches
from train.data.rows import open_rows
from train.job import Job
from train.kinds.stage import Stage
from train.models.open import Opened


def open_stage(job: Job, opened: Opened) -> Stage:
    """Cross-entropy over the learnt tokens of a step."""
    objective = job.step.objective.open()
    if not isinstance(job.step.data, str):
        return Stage(opened.model, open_rows(job, opened), objective)
    plan = open_plan(job.store, job.inputs[job.step.data])
    files = tokenizer_files(Store(job.store)[plan.spec.tokenizer])
    if TEMPLATE in files:
        opened.tokenizer[TEMPLATE] = files[TEMPLATE]
    return Stage(opened.model, open_batches(job), objective)
