"""Adapters: a plan as what DataLoader, `transformers.Trainer` and TRL take.

In: a plan or a view of it. Out: batches of tensors, or a `datasets.Dataset`. Shown by:
tests/mixtures/plan/test_adapters.py. Limit: torch and datasets are imported when first used (`pip
install 'gristmill[train]'`).

    DataLoader(plan.rank(0, 8), batch_size=4, collate_fn=collate)
    Trainer(model, TrainingArguments(**TRAINER), train_dataset=plan, data_collator=model_inputs)
    Trainer(model, TrainingArguments(per_device_train_batch_size=1, **TRAINER), data_collator=
            model_inputs, train_dataset=plan.micro_batches(accumulation * ranks))      # with ramps
    SFTTrainer(model, SFTConfig(**TRL), train_dataset=trl_rows(plan, 0, 1000), …)

No batch holds an attention mask: given one, transformers takes documents in a row for one. Without
it, eager and SDPA attention tell them apart by `position_ids` that begin again, unless a cache of
keys is on, as it is by default outside of Trainer; so `model_inputs` turns it off. FlashAttention
tells them apart in batches of one row only: `partial(model_inputs, flat=True)` makes them so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mixtures.plan.rows import ARRAYS, Plan
from mixtures.plan.views import Rows

if TYPE_CHECKING:
    import torch
    from datasets import Dataset

# A sampler that shuffles would undo the mixture's order, and could not go on where it ended.
TRAINER: dict[str, Any] = {"train_sampling_strategy": "sequential", "remove_unused_columns": False}
TRL: dict[str, Any] = {
    "train_sampling_strategy": "sequential",
    "padding_free": True,
    "max_length": None,
    "dataset_kwargs": {"skip_prepare_dataset": True},
}
_READ = 64  # rows at once


def collate(items: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Rows of one length -> int64[n, seq] tensors; `source` and `row`, int64[n], for bookkeeping.

    A micro-batch, the only item of its batch, is taken as it is.
    """
    return _tensors(items, (*ARRAYS, "source", "row"))


def model_inputs(items: Sequence[dict[str, Any]], flat: bool = False) -> dict[str, Any]:
    """A model's arguments, and nothing else: tensors [n, seq], or [1, n * seq] if `flat`."""
    tensors = _tensors(items, ARRAYS)
    shaped = {name: t.reshape(1, -1) if flat else t for name, t in tensors.items()}
    return {**shaped, "use_cache": False}


def _tensors(items: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, torch.Tensor]:
    import torch

    batch = items.batch if isinstance(items, Rows) else items[0]
    if batch["input_ids"].ndim == 2:
        return {name: torch.from_numpy(batch[name]) for name in names}
    lengths = sorted({len(item["input_ids"]) for item in items})
    if len(lengths) > 1:
        raise ValueError(
            f"rows of {lengths} tokens in one batch: the plan's rows grow longer there; "
            "take plan.micro_batches(per_step), whose batches keep to one length"
        )
    return {name: torch.from_numpy(np.stack([item[name] for item in items])) for name in names}


def trl_rows(plan: Plan, start: int = 0, stop: int | None = None, **options: Any) -> Dataset:
    """Rows start to stop as TRL's SFTTrainer takes them: input_ids, labels, seq_lengths.

    `seq_lengths` are the documents' parts, or the whole row where it is attended to as one. Padding
    is left out, since TRL joins the rows of a batch. `options` go to `Dataset.from_generator`
    (cache_dir, …), which keeps the rows on disk under a name that derives from the mixture's id.
    """
    from datasets import Dataset, Features, List, Value

    end = len(plan) if stop is None else stop
    if not 0 <= start < end <= len(plan):
        raise IndexError(f"rows {start} to {end} of a plan of {len(plan):,} rows")
    names = ("input_ids", "labels", "seq_lengths")
    features = Features({name: List(Value("int32")) for name in names})
    given = {"plan": plan, "start": start, "stop": end}
    return Dataset.from_generator(_trl_rows, features=features, gen_kwargs=given, **options)


def _trl_rows(plan: Plan, start: int, stop: int) -> Iterator[dict[str, Any]]:
    for first in range(start, stop, _READ):
        positions = range(first, min(stop, first + _READ))
        counts, lengths = plan.spans(positions)
        spans = np.split(lengths, np.cumsum(counts)[:-1])
        for item, span in zip(plan.__getitems__(positions), spans, strict=True):
            size = int(span.sum())
            yield {
                "input_ids": item["input_ids"][:size],
                "labels": item["labels"][:size],
                "seq_lengths": span if plan.spec.attention == "document" else [size],
            }
