"""Token datasets for tests of mixtures: documents of given tokens, and their tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from gristmill.step import Output, Phase, Step, StepRun, Task, TaskContext
from gristmill.store import Dataset, Store
from mixtures.tokens.tokenizers import SCHEMA, settle, table_of
from tests.run_step import InProcess, run_step

VOCABULARY = 1000


class MakeTokens(Step):
    """Documents as given, or of random tokens and lengths; carried columns besides."""

    SAMPLED: ClassVar[bool] = False
    documents: int = 100
    lengths: tuple[int, int] = (1, 50)
    texts: tuple[tuple[int, ...], ...] = ()  # instead of random ones
    columns: dict[str, list[Any]] = {}  # noqa: RUF012
    prefix: str = "d"
    mask: bool = False
    vocabulary: int = VOCABULARY
    rows_a_shard: int = 10**9
    seed: int = 0

    def outputs(self) -> dict[str, Output]:
        return {"": Output("tokens"), ".tokenizer": Output("tokenizer")}

    def phases(self, run: StepRun) -> Iterator[Phase]:
        yield Phase("tokenizer", [Task("tokenizer", _tokenizer, {"size": self.vocabulary})])
        count = len(self.texts) or self.documents
        starts = range(0, max(1, count), self.rows_a_shard)
        tasks = [
            Task(f"{first:09d}", _make, {"step": self, "first": first, "count": count})
            for first in starts
        ]
        yield Phase("make", tasks)


@cache
def tokenizer_files(size: int) -> dict[str, bytes]:
    model = WordLevel({"<eos>": 0, **{f"w{n}": n for n in range(1, size)}}, unk_token="<eos>")
    tokenizer = Tokenizer(model)
    tokenizer.add_special_tokens(["<eos>"])
    return settle({"tokenizer.json": tokenizer.to_str().encode()}, {"eos": "<eos>"}, "test")


def _tokenizer(ctx: TaskContext, size: int) -> dict[str, Any]:
    ctx.writer(".tokenizer", SCHEMA).write(table_of(tokenizer_files(size)))
    return {}


def _make(ctx: TaskContext, step: MakeTokens, first: int, count: int) -> dict[str, Any]:
    end = min(count, first + step.rows_a_shard)
    draw = np.random.default_rng([step.seed, first])
    low, high = step.lengths
    tokens: Sequence[Any] = [np.array(text, np.uint16) for text in step.texts[first:end]]
    if not step.texts:
        sizes = draw.integers(low, high, end - first)
        tokens = [draw.integers(1, VOCABULARY, n).astype(np.uint16) for n in sizes]
    counts = np.array([len(t) for t in tokens], np.int32)
    columns: dict[str, Any] = {
        "id": pa.array([f"{step.prefix}{n}" for n in range(first, end)], pa.string()),
        "start": pa.array(np.cumsum(counts, dtype=np.int64) - counts, pa.int64()),
        "count": pa.array(counts, pa.int32()),
        "tokens": pa.array([t.tobytes() for t in tokens], pa.binary()),
    }
    if step.mask:
        masks = [(t % 3 > 0).astype(np.uint8).tobytes() for t in tokens]
        columns["loss_mask"] = pa.array(masks, pa.binary())
    columns |= {name: values[first:end] for name, values in step.columns.items()}
    table = pa.table(columns)
    ctx.writer("", table.schema).write(table)
    return {}


def put_tokens(store: Store | Path, name: str, **options: Any) -> Dataset:
    """Make a token dataset in the store."""
    place = store if isinstance(store, Store) else Store(store)
    run_step(MakeTokens(name=name, use="make", **options), place, executor=InProcess())  # type: ignore[arg-type]
    return place[name]
