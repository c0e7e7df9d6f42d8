"""Answers as rows: how the request log keeps what a model said.

In: answers with their keys. Out: an Arrow table, and the same answers again.
Shown by: `python -m pytest tests/synth/test_log.py`.
Limit: an answer's `value` is a number; sandboxes and processes are not logged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from synth.calls import KEY_BYTES, Answer

# Doubles, so that a replayed answer is the same to the last bit.
_NUMBERS = pa.list_(pa.float64())
_IDS = pa.list_(pa.int32())
_KEPT: list[tuple[str, pa.DataType]] = [
    ("text", pa.string()),
    ("token_ids", _IDS),
    ("finish_reason", pa.string()),
    ("prompt_tokens", pa.int32()),
    ("completion_tokens", pa.int32()),
    ("logprob", pa.float64()),
    ("token_logprobs", _NUMBERS),
    ("top_ids", pa.list_(_IDS)),
    ("top_logprobs", pa.list_(_NUMBERS)),
    ("value", pa.float64()),
]
SCHEMA = pa.schema([("key", pa.binary(KEY_BYTES)), ("max_tokens", pa.int32()), *_KEPT])
NAMES = [name for name, _ in _KEPT]


@dataclass(frozen=True, slots=True)
class Entry:
    """One answer, its request, and the limit under which it was made (0: it had none)."""

    key: bytes
    max_tokens: int
    answer: Answer


def to_table(entries: Sequence[Entry]) -> pa.Table:
    """Entries as rows of SCHEMA."""
    answers = [entry.answer for entry in entries]
    arrays = [
        pa.array([entry.key for entry in entries], SCHEMA[0].type),
        pa.array([entry.max_tokens for entry in entries], pa.int32()),
        *(pa.array([getattr(a, name) for a in answers], kind) for name, kind in _KEPT),
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def from_table(table: pa.Table) -> list[Entry]:
    """The entries of rows, in order."""
    columns: list[list[Any]] = [table[name].to_pylist() for name in NAMES]
    return [
        Entry(key, limit, Answer(*values))
        for key, limit, *values in zip(
            table["key"].to_pylist(), table["max_tokens"].to_pylist(), *columns, strict=True
        )
    ]


def fits(entry: Entry, max_tokens: int) -> bool:
    """Whether an answer is what the request would get under another limit.

    It ended by itself within the limit, or it was cut at exactly this one.
    """
    if entry.answer.finish_reason == "length":
        return entry.max_tokens == max_tokens
    return max_tokens == 0 or entry.answer.completion_tokens <= max_tokens
