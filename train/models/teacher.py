"""A live teacher: one model of the store, or several as an ensemble, asked while a student learns.

In: a job with `teacher: models/large` or `[models/a, models/b]`. Out: micro-batch -> logits.
Shown by: any `use: train, kind: distill, loss: kd_full`.
Limit: the teacher is whole on every rank, in the dtype of the forward pass.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from transformers import PreTrainedModel

from gristmill.errors import RecipeError
from train.job import Job
from train.models.ensemble import Ensemble
from train.models.open import Opened, load_folder
from train.models.vocabulary import folder_files, must_agree, named
from train.spec import ModelSpec
from train.trainer import Batch


def open_teacher(job: Job, opened: Opened) -> Callable[[Batch], torch.Tensor]:
    """Logits [b, t, v] of a micro-batch, without a gradient; RecipeError for other tokens."""
    models = [_member(job, name, opened) for name in job.step.teachers]
    teacher = models[0] if len(models) == 1 else Ensemble(models)
    teacher.eval().requires_grad_(False)

    def asked(batch: Batch) -> torch.Tensor:
        ids = batch["input_ids"]
        if teacher.device != ids.device:
            teacher.to(ids.device)
        with torch.no_grad():
            found: torch.Tensor = teacher(
                input_ids=ids, position_ids=batch["position_ids"], use_cache=False
            ).logits
        return found

    return asked


def _member(job: Job, name: str, opened: Opened) -> PreTrainedModel:
    folder = job.model_folder(name)
    files = folder_files(folder)
    if not files:
        raise RecipeError(
            f"teacher {named(job, name)} has no tokenizer beside its weights, so nothing shows "
            "that it reads the student's tokens; put its tokenizer.json into the folder"
        )
    must_agree("the student", opened.tokenizer, f"the teacher {named(job, name)}", files)
    return load_folder(folder, ModelSpec(attention=job.step.model.attention))
