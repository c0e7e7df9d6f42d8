"""Rows into token ids, once, before the first step: the phase `rows` of a stage.

In: the stage and exact versions of its inputs. Out: `ctx.path("rows")`, see train.data.prepared;
what was used and what was dropped, by reason. Shown by: any `use: train` with `data: {rows: …}`.
Limit: one task; memory is a batch of rows, of a shard's row group.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gristmill.errors import GristmillError, RecipeError
from gristmill.store import Dataset, Store
from gristmill.task import TaskContext
from mixtures.tokens.chat import open_chat_tokenizer
from mixtures.tokens.encode_chat import open_chat_encoder
from train.data.encode_rows import RowEncoder
from train.data.prepared import Meta, Writer
from train.data.read import batches
from train.data.shapes import Row, Shape, shape_of
from train.data.teacher import most
from train.job import Job
from train.models.vocabulary import tokenizer_of
from train.spec import Rows

if TYPE_CHECKING:
    from train.step import Train


def prepare(ctx: TaskContext, step: Train, inputs: dict[str, str]) -> dict[str, Any]:
    """Write the rows; their account."""
    os.environ["TOKENIZERS_PARALLELISM"] = "true"  # no other task runs beside this one
    spec = step.data
    assert isinstance(spec, Rows)
    store = Store(ctx.run.store)
    datasets = [store[inputs[ref]] for ref in spec.rows]
    shapes = [
        shape_of(step, found.manifest["kind"], found.schema.names, found.ref) for found in datasets
    ]
    shape = _same(shapes, datasets)
    tokenizer = None if shape.teacher else _tokenizer(step, inputs, ctx.run.store)
    top = max(map(most, datasets)) if shape.teacher else 0
    work = RowEncoder(spec, tokenizer, tokenizer and open_chat_encoder(tokenizer), top)
    schema = pa.schema([(name, pa.string()) for name in ("id", *shape.texts)])
    writer = Writer(ctx.path("rows"), schema, top)
    for dataset, own in zip(datasets, shapes, strict=True):
        for rows in _rows(dataset, own, spec.where, work.account):
            work.write(writer, own, rows)
            ctx.advance(len(rows))
    if not writer.rows:
        raise GristmillError(
            f"{', '.join(d.ref for d in datasets)}: no row is left to learn from; of "
            f"{work.account['in']:,}: {work.told() or 'none'}"
        )
    writer.close(_meta(shape, work, writer.rows))
    dropped = work.dropped()
    used = work.account["in"] - sum(dropped.values())
    facts = {
        "in": work.account["in"],
        "used": used,
        "dropped": dropped,
        "cut": work.account["cut"],
        "examples": writer.rows,
        "tokens": writer.tokens,
    }
    return {"rows": facts, "notes": work.notes()}


def _meta(shape: Shape, work: RowEncoder, rows: int) -> Meta:
    template = work.tokenizer.chat_template if work.tokenizer else ""
    special = tuple(sorted(work.encoder.special)) if work.encoder else ()
    ends = tuple(sorted(work.ends))
    return Meta(shape.sequences, shape.numbers, rows, template, special, ends, work.top)


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


def _tokenizer(step: Train, inputs: dict[str, str], store: str) -> Any:
    assert isinstance(step.data, Rows)
    file = step.data.template
    template = None if file is None else Path(file).expanduser().read_text()
    return open_chat_tokenizer(tokenizer_of(Job(step, store, inputs, "")), template)


def _rows(
    dataset: Dataset, shape: Shape, where: str | None, account: Counter[str]
) -> Iterator[list[tuple[Row, Row]]]:
    """Rows in batches, each with the row after it; the last one's is the first."""
    first: Row | None = None
    held: Row | None = None
    number = 0
    named = ("id",) if "id" in dataset.schema.names else ()
    columns = list(dict.fromkeys((*named, *shape.columns)))
    for batch in batches(dataset, columns, where):
        found: list[tuple[Row, Row]] = []
        for row in batch.to_pylist():
            row.setdefault("id", f"{dataset.name}/{number}")
            number += 1
            if held is None:
                first = row
            else:
                found.append((held, row))
            held = row
        if found:
            yield found
    if held is not None and first is not None:
        yield [(held, first)]
    account["in"] += dataset.rows
    if number < dataset.rows:
        account["where"] += dataset.rows - number
