"""A teacher's rows: token ids with the most probable tokens at each place.

In: rows of kind `teacher`. Out: sequences; top_ids[i] and top_logprobs[i] are what the teacher gave
place i, which ids[:i] predict. Shown by: `python -m pytest tests/train/data/test_prepare.py`.
Limit: the first token of a row is in no loss: what stood before it is not in the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gristmill.store import Dataset
from train.data.prepared import Tokenised
from train.spec import Rows


def most(dataset: Dataset) -> int:
    """Tokens told at a place: the most of the first batch, to which all others are cut."""
    batch = next(dataset.scan(["top_ids"], 64), None)
    rows = batch["top_ids"].to_pylist() if batch is not None else []
    return max((len(place) for row in rows for place in row or ()), default=1)


def tokenised(row: Mapping[str, Any], top: int, spec: Rows) -> Tokenised | str:
    """The row as a sequence, or why it is left out."""
    ids = row["input_ids"]
    if not ids or len(ids) < 2:
        return "no answer"
    if len(ids) > spec.max_length and spec.too_long == "drop":
        return "too long"
    if not len(ids) == len(row["top_ids"]) == len(row["top_logprobs"]):
        return "lengths differ"
    ids = ids[: spec.max_length]
    chosen = np.zeros((len(ids), top), np.int32)
    logprobs = np.full((len(ids), top), -np.inf, np.float32)
    for place in range(len(ids)):
        told = row["top_ids"][place][:top]
        chosen[place, : len(told)] = told
        logprobs[place, : len(told)] = row["top_logprobs"][place][:top]
    told_of = [bool(told) for told in row["top_ids"][1 : len(ids)]]
    return Tokenised(ids, [False, *told_of], (chosen, logprobs))
