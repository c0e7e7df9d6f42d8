"""preference: answers compared, or good and bad ones; DPO and its relatives."""

from __future__ import annotations

import gc
from typing import Any

from gristmill.errors import RecipeError
from train.data.reference import reference_logp
from train.data.rows import open_rows
from train.job import Job
from train.kinds.kto import KtoTrainer
from train.kinds.stage import Stage
from train.models.open import Opened, load_folder
from train.spec.losses.preference import Kto, Preference


def open_stage(job: Job, opened: Opened) -> Stage:
    """Pairs, with the reference's log-probabilities where the loss needs them."""
    loss = job.step.objective
    examples = open_rows(job, opened, by_token=False)
    assert isinstance(loss, Preference)
    if loss.REFERENCE:
        logp = reference_logp(job, examples, lambda: _reference(job, opened), loss.mask_formatting)
        examples.columns["reference"] = logp
        gc.collect()
    objective = loss.open()

    def trainer(given: dict[str, Any]) -> KtoTrainer:
        return KtoTrainer(objective=objective, by_tokens=False, **given)

    return Stage(opened.model, examples, objective, trainer if isinstance(loss, Kto) else None)


def _reference(job: Job, opened: Opened) -> Any:
    """The model of `reference`, or the one that the stage begins with."""
    if job.step.reference is None:
        return opened.model
    found = load_folder(job.model_folder(job.step.reference))
    if found.config.vocab_size != opened.model.config.vocab_size:
        raise RecipeError(
            f"reference {job.step.reference!r} has {found.config.vocab_size:,} tokens, the model "
            f"{opened.model.config.vocab_size:,}: both must read the same token ids"
        )
    return found
