"""Rows into token ids, once, before the first step: the phases `choose`, `rows` and `join`.

In: a stage and its inputs. Out: a folder as train.data.prepared reads it; what was used and what
was dropped, by reason. Shown by: any `use: train` with `data: {rows: …}`.
Limit: memory of a task is a row group of its shard; until the stage ends the rows lie on disk
twice, as parts and joined.

A task is a range of a shard's rows, cut by what the manifest says of the shard: the folder is the
same, byte for byte, for any number of workers.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gristmill.errors import GristmillError, RecipeError
from gristmill.step import Phase, StepRun, Task
from gristmill.store import Dataset, Store
from gristmill.task import TaskContext, TaskRecord
from mixtures.tokens.chat import open_chat_tokenizer
from mixtures.tokens.encode_chat import open_chat_encoder
from train.data.encode_rows import NOT_DROPPED, RowEncoder, told
from train.data.prepared import Meta, Writer, join_parts
from train.data.read import bases, choose, chosen, row_after, rows_between
from train.data.shapes import OTHER, Row, Shape, shape_of
from train.data.teacher import most
from train.job import Job
from train.models.vocabulary import tokenizer_of
from train.spec import Rows

if TYPE_CHECKING:
    from train.step import Train

FOLDER = "rows"
CHOOSE, ROWS, JOIN = "choose", "rows", "join"  # phases
PART_ROWS = 50_000
PART_BYTES = 32 << 20  # of a shard's file


def row_phases(step: Train, run: StepRun) -> Iterator[Phase]:
    """Choose by `where`, tokenise in parts, join them; then `run.records(JOIN)` has the folder."""
    spec = step.data
    assert isinstance(spec, Rows)
    datasets = [run.inputs[ref] for ref in spec.rows]
    shapes = [shape_of(step, d.manifest["kind"], d.schema.names, d.ref) for d in datasets]
    shape = _same(shapes, datasets)
    kept: list[str | None] = [None] * len(datasets)
    if spec.where is not None:
        versions = [{"dataset": dataset.ref, "where": spec.where} for dataset in datasets]
        tasks = [Task(f"{n:04d}", _choose, args) for n, args in enumerate(versions)]
        yield Phase(CHOOSE, tasks, unit="datasets")
        kept = [str(record.path(FOLDER)) for record in run.records(CHOOSE)]
    top = max(map(most, datasets)) if shape.teacher else 0
    inputs = {ref: dataset.ref for ref, dataset in run.inputs.items()}
    setup = None if shape.teacher else partial(_encoder, step, inputs, str(run.store.path))
    tasks = [
        Task(
            f"{number:04d}-{shard:05d}-{part:04d}",
            _encode,
            {
                "step": step, "dataset": dataset.ref, "shard": shard, "first": first, "end": end,
                "kept": kept[number], "top": top,
            },
            max(1, end - first),
        )
        for number, dataset in enumerate(datasets)
        for shard, entry in enumerate(dataset.manifest["shards"])
        for part, (first, end) in enumerate(_ranges(entry["rows"], entry["bytes"]))
    ]  # fmt: skip
    yield Phase(ROWS, tasks, worker_setup=setup, unit="rows")
    counts, said = _counts(run.records(ROWS))
    if not any(record.value["examples"] for record in run.records(ROWS)):
        raise GristmillError(
            f"{', '.join(d.ref for d in datasets)}: no row is left to learn from; of "
            f"{counts['in']:,}: {told(counts, said) or 'none'}. {_way_out(spec, counts)}"
        )
    parts = [str(record.path(FOLDER)) for record in run.records(ROWS)]
    yield Phase(JOIN, [Task(FOLDER, _join, {"parts": parts})], unit="folders")


def account(records: list[TaskRecord]) -> tuple[dict[str, Any], list[str]]:
    """Rows in = used + dropped by reason, over all parts; and what a user should know."""
    counts, said = _counts(records)
    dropped = {name: n for name, n in sorted(counts.items()) if name not in NOT_DROPPED and n}
    endless, examples, tokens = (
        sum(record.value[name] for record in records) for name in ("endless", "examples", "tokens")
    )
    facts = {
        "in": counts["in"],
        "used": counts["in"] - sum(dropped.values()),
        "dropped": dropped,
        "cut": counts["cut"],
        "examples": examples,
        "tokens": tokens,
    }
    line = told(counts, said)
    notes = [f"of {counts['in']:,} rows: {line}"] if line else []
    if endless:
        notes.append(
            f"{endless:,} answers end without a special token, so the model does not learn where "
            "to stop; let the chat template print one behind an answer"
        )
    return facts, notes


def _way_out(spec: Rows, counts: Counter[str]) -> str:
    """What would leave rows, by the reason that took most of them."""
    if not counts["in"]:
        return f"What became of its source: `gristmill funnel {spec.rows[0]}`"
    dropped = Counter({name: n for name, n in counts.items() if name not in NOT_DROPPED})
    ways = {
        "too long": f"data.max_length is {spec.max_length} tokens: raise it, or `too_long: cut`",
        "where": f"data.where is {spec.where!r}: change it, or leave it out",
        "equal": "Both answers of each pair are the same: choose pairs that differ",
        "no answer": "No token is an assistant's: the rows end with a user, or answers are empty",
        "template": "Give another one: `data: {template: FILE}`",
    }
    return ways.get(dropped.most_common(1)[0][0], "Look at them: `gristmill sql`")


def _counts(records: list[TaskRecord]) -> tuple[Counter[str], str]:
    """Rows by what became of them, and what a template said that refused one."""
    counts: Counter[str] = Counter()
    for record in records:
        counts.update(record.value["account"])
    said = (record.value["said"] for record in records if record.value["said"])
    return counts, next(said, "")


def _choose(ctx: TaskContext, dataset: str, where: str) -> None:
    choose(Store(ctx.run.store)[dataset], where, ctx.path(FOLDER))


def _encoder(step: Train, inputs: dict[str, str], store: str) -> Any:
    """transformers' tokenizer with its chat template: once a worker."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # a worker is a core
    assert isinstance(step.data, Rows)
    file = step.data.template
    template = None if file is None else Path(file).expanduser().read_text()
    return open_chat_tokenizer(tokenizer_of(Job(step, store, inputs, "")), template)


def _encode(
    ctx: TaskContext,
    step: Train,
    dataset: str,
    shard: int,
    first: int,
    end: int,
    kept: str | None,
    top: int,
) -> dict[str, Any]:
    """Rows first..end of a shard."""
    spec, tokenizer = step.data, ctx.state
    assert isinstance(spec, Rows)
    rows = Store(ctx.run.store)[dataset]
    shape = shape_of(step, rows.manifest["kind"], rows.schema.names, rows.ref)
    work = RowEncoder(spec, tokenizer, tokenizer and open_chat_encoder(tokenizer), top)
    schema = pa.schema([(name, pa.string()) for name in ("id", *shape.texts)])
    writer = Writer(ctx.path(FOLDER), schema, top)
    for pairs in _pairs(ctx, rows, shape, (shard, first, end), kept, work.account):
        work.write(writer, shape, pairs)
    special = tuple(sorted(work.encoder.special)) if work.encoder else ()
    template = tokenizer.chat_template if tokenizer else ""
    ends = tuple(sorted(work.ends))
    writer.close(Meta(shape.sequences, shape.numbers, 0, template, special, ends, top))
    return {
        "account": dict(work.account),
        "endless": work.endless,
        "said": work.said,
        "examples": writer.rows,
        "tokens": writer.tokens,
    }


def _pairs(
    ctx: TaskContext,
    dataset: Dataset,
    shape: Shape,
    place: tuple[int, int, int],
    kept: str | None,
    counts: Counter[str],
) -> Iterator[list[tuple[Row, Row]]]:
    """The rows of a part in batches, each with the row after it; the last one's is the first."""
    shard, first, end = place
    numbers = chosen(kept)
    columns = list(shape.columns)
    held: Row | None = None
    seen = 0
    for rows in rows_between(dataset, shard, first, end, columns, numbers):
        seen += len(rows)
        if OTHER not in shape.sequences:
            yield [(row, row) for row in rows]
        elif rows:
            before = [held] if held is not None else []
            yield list(zip([*before, *rows[:-1]], rows if before else rows[1:], strict=True))
            held = rows[-1]
        ctx.advance(len(rows))
    if held is not None:
        after = row_after(dataset, bases(dataset)[shard] + end, columns, numbers)
        assert after is not None  # held is kept
        yield [(held, after)]
    counts["in"] += end - first
    counts["where"] += end - first - seen


def _join(ctx: TaskContext, parts: list[str]) -> None:
    join_parts([Path(part) for part in parts], ctx.path(FOLDER))


def _ranges(rows: int, size: int) -> Iterator[tuple[int, int]]:
    """Row ranges of one shard."""
    parts = max(1, min(rows, max(-(-rows // PART_ROWS), -(-size // PART_BYTES))))
    for number in range(parts):
        yield number * rows // parts, (number + 1) * rows // parts


def _same(shapes: list[Shape], datasets: list[Dataset]) -> Shape:
    """The shape of all; RecipeError where two datasets cannot be one stage's rows."""
    first = shapes[0]
    for shape, dataset in zip(shapes, datasets, strict=True):
        if _kept(shape) != _kept(first):
            raise RecipeError(
                f"data.rows: {dataset.ref} gives {_kept(shape)}, {datasets[0].ref} gives "
                f"{_kept(first)}; rows of one stage are of one kind"
            )
    return first


def _kept(shape: Shape) -> dict[str, tuple[str, ...]]:
    return {"sequences": shape.sequences, "numbers": shape.numbers, "texts": shape.texts}
