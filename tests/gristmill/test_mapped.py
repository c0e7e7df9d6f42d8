"""Mapped kinds: what is read in place equals what any Parquet reader gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gristmill.errors import StoreError
from gristmill.mapped import open_column, open_tokens
from gristmill.step import Output, Phase, Step, StepRun, Task, TaskContext
from gristmill.store import Dataset, Store
from tests.run_step import InProcess, run_step


class MakeTokens(Step):
    """Documents of random lengths, also empty ones, from several tasks."""

    tasks: int = 2
    documents: int = 300
    width: int = 2
    mask: bool = False
    largest: int = 50

    def outputs(self) -> dict[str, Output]:
        return {"": Output("tokens")}

    def phases(self, run: StepRun) -> Iterator[Phase]:
        args = self.model_dump(exclude={"name", "use", "tasks"})
        yield Phase("make", [Task(f"{n}", _make, {"number": n, **args}) for n in range(self.tasks)])


def _make(
    ctx: TaskContext, number: int, documents: int, width: int, mask: bool, largest: int
) -> dict[str, Any]:
    draw = np.random.default_rng(number)
    counts = draw.integers(0, largest, documents).astype(np.int32)
    dtype = np.uint16 if width == 2 else np.uint32
    tokens = [draw.integers(0, 60000, n).astype(dtype).tobytes() for n in counts]
    table = pa.table(
        {
            "id": [f"{number}-{n}" for n in range(documents)],
            "start": pa.array(np.cumsum(counts) - counts, pa.int64()),
            "count": pa.array(counts),
            "tokens": pa.array(tokens, pa.binary()),
            "language": ["en", None, "de"] * (documents // 3),
        }
    )
    if mask:
        masks = pa.array([draw.integers(0, 2, n).astype(np.uint8).tobytes() for n in counts])
        table = table.append_column("loss_mask", masks.cast(pa.binary()))
    writer = ctx.writer("", table.schema)
    for first in range(0, documents, 50):
        writer.write(table.slice(first, 50))
    return {}


def made(path: Path, **options: Any) -> Dataset:
    run_step(MakeTokens(name="t", use="make", **options), path, executor=InProcess())  # type: ignore[arg-type]
    return Store(path)["t"]


@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.parametrize("mask", [False, True])
def test_tokens_in_place_are_those_of_the_file(
    tmp_path: Path, width: int, mask: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gristmill.shards.ROW_GROUP_BYTES", 4000)
    monkeypatch.setattr("gristmill.shards.SHARD_BYTES", 9000)
    dataset = made(tmp_path, width=width, mask=mask)
    assert len(dataset.files) > 3
    table, tokens = dataset.to_table(), open_tokens(dataset)
    assert tokens.dtype.itemsize == width and tokens.documents == 600
    for document in range(600):
        assert tokens.read(document).tobytes() == table["tokens"][document].as_py()
    assert tokens.counts().tolist() == table["count"].to_pylist()
    assert tokens.counts(290, 310).tolist() == table["count"].to_pylist()[290:310]
    some = np.random.default_rng(1).permutation(600)
    starts = open_column(dataset, "start")
    assert starts.take(some).tolist() == np.array(table["start"].to_pylist())[some].tolist()
    assert (tokens.mask_addresses(some) is not None) == mask
    if mask:
        found = tokens.mask_addresses(np.arange(600))
        assert found is not None
        import ctypes

        for document in range(0, 600, 7):
            expected = table["loss_mask"][document].as_py()
            assert ctypes.string_at(int(found[document]), len(expected)) == expected


def test_a_large_row_group_is_one_page(tmp_path: Path) -> None:
    """More rows than the pages of some Arrow versions hold, and megabytes of tokens."""
    dataset = made(tmp_path, documents=60_000, tasks=1, largest=300)
    tokens, table = open_tokens(dataset), dataset.to_table()
    for document in [0, 1, 19_999, 20_000, 20_001, 40_000, 59_999]:
        assert tokens.read(document).tobytes() == table["tokens"][document].as_py()


def test_any_reader_reads_it(tmp_path: Path) -> None:
    import duckdb
    import pandas as pd

    dataset = made(tmp_path)
    frame = pd.read_parquet(dataset.path)
    assert (frame["tokens"].map(len) == 2 * frame["count"]).all()
    query = f"select sum(octet_length(tokens)), sum(count) from '{dataset.path}/*.parquet'"
    size, count = duckdb.sql(query).fetchall()[0]
    assert size == 2 * count


def test_other_columns_and_kinds_are_errors(tmp_path: Path) -> None:
    dataset = made(tmp_path)
    with pytest.raises(StoreError, match="no fixed-width column 'language'"):
        open_column(dataset, "language")
    with pytest.raises(IndexError, match="outside the 600 rows"):
        open_column(dataset, "count").take([600])
