"""Prompts of a stage and the rows of its steps.

In: prepared rows of kind `prompt`. Out: prompts that leave room for a completion; rows a step.
Shown by: `python -m pytest tests/train/rl/test_read.py`. Limit: all prompts are held in memory.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from gristmill.errors import RecipeError
from gristmill.rng import derive_seed, permutation
from train.data.prepared import Prepared
from train.data.shapes import TURNS
from train.rl.prompts import Prompt
from train.spec import Rows

_TEXTS = ("id", "prompt", "answer", "verifier", TURNS)


def read_prompts(rows: Prepared, room: int) -> tuple[list[Prompt], int]:
    """Prompts of at most `room` tokens, and how many were longer; RecipeError where all are."""
    there = [name for name in _TEXTS if name in rows.table.column_names]
    found = []
    for number, row in enumerate(rows.table.select(there).to_pylist()):
        ids = rows.ids[rows.starts[number] : rows.starts[number + 1]].tolist()
        prompt, answer, verifier, turns = (row.get(name) or "" for name in _TEXTS[1:])
        if len(ids) <= room:
            found.append(Prompt(ids, prompt, answer, verifier, row["id"], json.loads(turns)))
    if not found:
        raise RecipeError(
            f"none of {len(rows)} prompts has at most {room} tokens, which rollout.max_tokens "
            "leaves of the model's context and of data.max_length; make it smaller"
        )
    return found, len(rows) - len(found)


def order(data: Rows, seed: int, count: int) -> list[list[int]]:
    """The numbers of each step's prompts; each epoch in an order of its own."""
    total = max(1, round(data.epochs * count))
    numbers: list[int] = []
    for epoch in range(-(-total // count)):
        numbers += _epoch(data, seed, count, epoch)
    return [numbers[n : min(n + data.batch, total)] for n in range(0, total, data.batch)]


def _epoch(data: Rows, seed: int, count: int, epoch: int) -> Sequence[int]:
    if data.order == "given":
        return range(count)
    keys = derive_seed(seed, "rows", epoch)
    found: list[int] = permutation(keys, count, np.arange(count)).tolist()
    return found
