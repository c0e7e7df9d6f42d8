"""The rows of a job as micro-batches, and what of them is saved with the model.

In: a job whose data is rows, prepared; its model. Out: Examples. Shown by: any `use: train` with
`data: {rows: …}`. Limit: rows were tokenised with the tokenizer of `init`.
"""

from __future__ import annotations

from transformers import GenerationConfig

from mixtures.tokens.chat import TEMPLATE
from train.data.examples import Examples
from train.data.prepared import Meta, open_prepared
from train.job import Job
from train.models.open import Opened
from train.spec import Rows


def open_rows(job: Job, opened: Opened, by_token: bool = True) -> Examples:
    """Each step in as many parts as `run.micro_batch` and `run.ranks` ask.

    by_token: whether the loss is a mean over the step's learnt tokens, else over its rows.
    """
    step = job.step
    assert isinstance(step.data, Rows) and job.rows is not None
    prepared = open_prepared(job.rows)
    keep_template(opened, prepared.meta)
    per_step = parts(step.data.batch, step.run.micro_batch, step.run.ranks)
    return Examples(prepared, step.data, step.seed, per_step, by_token)


def parts(batch: int, micro_batch: int | None, ranks: int) -> int:
    """Micro-batches a step: ranks times accumulation; none has more than `micro_batch` rows."""
    each = -(-batch // ranks)
    return ranks * -(-each // (micro_batch or each))


def keep_template(opened: Opened, meta: Meta) -> None:
    """Save with the model the template that the rows were rendered with, and what ends an answer,
    so that an engine prompts it and stops it as it was trained."""
    if meta.template:
        opened.tokenizer[TEMPLATE] = meta.template.encode()
    model = opened.model
    if model.generation_config is None or not meta.ends:
        return
    settings = model.generation_config.to_dict()
    settings.pop("_from_model_config", None)  # else it is derived from the config again when loaded
    known = settings["eos_token_id"]
    listed = known if isinstance(known, list) else [] if known is None else [known]
    settings["eos_token_id"] = sorted({*listed, *meta.ends})
    model.generation_config = GenerationConfig.from_dict(settings)
