"""The tasks of the step `decontaminate`, and what a worker keeps between them.

In: benchmark files, shards. Out: an index to map, rows and ledger, totals of each item, the report.
Shown by: `gristmill run pipelines/recipes/fineweb.yaml --set against='[benchmarks/*.jsonl.gz]'`.
Limit: one task builds the index, so benchmarks are read on one core.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.decontam.report import SCHEMA as REPORT
from curation.decontam.report import report_table, uncovered_note
from curation.decontam.rows import LEDGER, Decontaminator
from gristmill.decontam.benchmarks import SCHEMA as ITEMS
from gristmill.decontam.benchmarks import Against, read_benchmarks
from gristmill.decontam.match import Bools, Totals, item_thresholds
from gristmill.step import TaskContext
from gristmill.text.ngrams import NgramIndex, build_index, find

if TYPE_CHECKING:
    from curation.decontam.step import Decontaminate


def set_up(step: Decontaminate, home: Path | None, common: Path | None = None) -> Decontaminator:
    """What a worker keeps: the mapped index, its items and thresholds."""
    recipe = step.resolved()
    items = ITEMS.empty_table() if home is None else pq.read_table(home / "items.parquet")
    return Decontaminator(
        recipe,
        step.action,
        items,
        None if home is None else NgramIndex.load(home),
        item_thresholds(items["benchmark"], recipe.threshold, step.threshold),
        None if common is None else np.load(common),
        (step.cut.window, step.cut.min_fragment, step.cut.max_cuts),
    )


def index(
    ctx: TaskContext, step: Decontaminate, files: list[tuple[str, Against]]
) -> dict[str, Any]:
    """Read the benchmarks and index them."""
    items = read_benchmarks(files)
    recipe = step.resolved()
    item_thresholds(items["benchmark"], recipe.threshold, step.threshold)  # a wrong name fails here
    made = build_index(
        items["text"], recipe.lengths, recipe.min_words, step.min_distinct, step.max_counting
    )
    home = ctx.path("index")
    made.save(home)
    pq.write_table(items.drop_columns(["text"]), home / "items.parquet")
    return {"items": len(items), "ngrams": len(made)}


def _batches(shard: str) -> Iterator[pa.Table]:
    """Row groups: what the writer thought fit for memory."""
    with pq.ParquetFile(shard) as parquet:
        for group in range(parquet.num_row_groups):
            yield parquet.read_row_group(group)


def count_common(ctx: TaskContext, shard: str) -> None:
    """How many documents of a shard hold each entry of the index."""
    worker: Decontaminator = ctx.state
    assert worker.index is not None
    counts = np.zeros(len(worker.index), np.int64)
    for table in _batches(shard):
        counts += np.bincount(find(table["text"], worker.index).entry, minlength=len(counts))
        ctx.advance(table.nbytes)
    np.save(ctx.path("counts.npy"), counts)


def exempt(ctx: TaskContext, counts: list[str], most: int) -> dict[str, Any]:
    """Entries found in more than `most` documents of all shards."""
    total: Any = sum(np.load(path) for path in counts)
    common: Bools = np.asarray(total) > most
    np.save(ctx.path("exempt.npy"), common)
    return {"exempt": int(common.sum())}


def rows(ctx: TaskContext, shard: str) -> dict[str, Any]:
    """Decide the documents of one shard."""
    worker: Decontaminator = ctx.state
    totals = Totals.zeros(len(worker.items))
    writer = ctx.writer("", worker.rows_schema(pq.read_schema(shard)))
    ledger = ctx.writer(".ledger", LEDGER)
    seen = kept = 0
    for table in _batches(shard):
        out, told = worker.apply(table.replace_schema_metadata(None), totals)
        writer.write(out)
        ledger.write(told)
        seen, kept = seen + len(table), kept + len(out)
        ctx.advance(table.nbytes)
    home = ctx.path("totals")
    home.mkdir()
    for name in ("sharing", "matched", "best"):
        np.save(home / f"{name}.npy", getattr(totals, name))
    return {"rows": seen, "kept": kept}


def report(ctx: TaskContext, totals: list[str]) -> dict[str, Any]:
    """Add the tasks' totals up and write a row an item."""
    worker: Decontaminator = ctx.state
    writer = ctx.writer(".report", REPORT)
    if worker.index is None:
        return {}
    total = Totals.zeros(len(worker.items))
    for folder in map(Path, totals):
        names = ("sharing", "matched", "best")
        total.add(Totals(*(np.load(folder / f"{name}.npy") for name in names)))
    table = report_table(worker.items, worker.index, total, worker.exempt)
    writer.write(table)
    return {"note": uncovered_note(table, worker.recipe.min_words)}
