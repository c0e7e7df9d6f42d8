"""What a measurement gives: scores with their intervals, and the items that they come from.

In: numbers of a task. Out: Score, Item, and the tables of both. Shown by: `gristmill sql 'select
task, metric, value, low, high from "eval/base"'`. Limit: a label is text or a number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import pyarrow as pa

from gristmill.columns import HOST
from gristmill.store import Dataset

Better = Literal["lower", "higher", "neither"]
ALL = "all"  # the source that stands for all of them together


@dataclass(frozen=True, slots=True)
class Score:
    """One number of a model."""

    metric: str
    value: float
    n: int  # items that it is over
    better: Better
    source: str = ALL
    stderr: float | None = None
    low: float | None = None  # of the 95% interval
    high: float | None = None
    length: int | None = None  # of long contexts: tokens, and where in them the fact lies
    depth: float | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that was measured: a document, a prompt and what the model made of it."""

    item: str
    score: float  # of the metric that `metric` names
    metric: str
    source: str = ALL
    sample: int = 0  # of several samples of one prompt
    prompt: str | None = None
    completion: str | None = None
    answer: str | None = None
    tokens: int | None = None
    bytes: int | None = None
    finished: bool | None = None  # false: max_tokens cut it
    length: int | None = None
    depth: float | None = None
    host: str | None = None  # of the page: items of one host are not independent
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Measured:
    """What a task found of one model."""

    scores: list[Score] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


_WHO = [("model", pa.string()), ("version", pa.string()), ("task", pa.string())]
SCORES = pa.schema(
    [
        *_WHO,
        ("metric", pa.string()),
        ("source", pa.string()),
        ("value", pa.float64()),
        ("n", pa.int64()),
        ("stderr", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("better", pa.string()),
        ("length", pa.int64()),
        ("depth", pa.float64()),
    ]
)
ITEMS = pa.schema(
    [
        *_WHO,
        ("metric", pa.string()),
        ("source", pa.string()),
        ("item", pa.string()),
        ("sample", pa.int64()),
        ("score", pa.float64()),
        ("prompt", pa.string()),
        ("completion", pa.string()),
        ("answer", pa.string()),
        ("tokens", pa.int64()),
        ("bytes", pa.int64()),
        ("finished", pa.bool_()),
        ("length", pa.int64()),
        ("depth", pa.float64()),
        ("host", pa.string()),
        ("meta", pa.string()),
    ]
)
COLUMNS = frozenset(SCORES.names)
ITEM_HOST = "item_host"
Label = str | int | float | bool


def item_host(dataset: Dataset) -> list[str]:
    """SQL of the host of each row, as ITEM_HOST; nothing where rows have no `url`."""
    return [f"nullif({HOST}, '') as {ITEM_HOST}"] if "url" in dataset.schema.names else []


def score_schema(labels: Mapping[str, Label]) -> pa.Schema:
    """Columns of the main output: a label is a column of its own."""
    kinds = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    return pa.schema([*SCORES, *((name, kinds[type(value)]) for name, value in labels.items())])


def score_table(
    scores: Sequence[Score], who: Mapping[str, str], labels: Mapping[str, Label]
) -> pa.Table:
    """Rows of the main output; `who`: model, version, task."""
    rows = [{**who, **asdict(score), **labels} for score in scores]
    return pa.Table.from_pylist(rows, score_schema(labels))


def item_table(items: Sequence[Item], who: Mapping[str, str]) -> pa.Table:
    """Rows of `.samples`."""
    names = [one.name for one in fields(Item) if one.name != "meta"]
    rows = [
        {**who, **{name: getattr(item, name) for name in names}, "meta": _text(item.meta)}
        for item in items
    ]
    return pa.Table.from_pylist(rows, ITEMS)


def _text(meta: Mapping[str, Any]) -> str | None:
    return json.dumps(meta, sort_keys=True) if meta else None
