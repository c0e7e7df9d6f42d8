"""Segments: run a list of ops over one batch, and say of every record what became of it.

In: a RAW batch (every record of the input, broken ones too). Out: documents kept, ledger rows for
all.
Shown by: `gristmill run pipelines/recipes/fineweb.yaml`. Limit: one batch at a time, one thread.

Ops that edit text cut the list: the ops between two cuts see the same text and are decided
together, so the ledger holds every rule that a dropped row fails there, not only the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.ops import Apply, Failure, Op, OpResult
from curation.verdicts import Verdicts
from gristmill import marker
from gristmill.ids import document_id, text_digests
from gristmill.text.buffers import string_buffers
from gristmill.text.signals import compute_signals

MAX_DOC_BYTES = 16 << 20
_WORKING = {"payload", "content_type", "charset", "error", "row"}  # not columns of documents
_FIRST = ["id", "text", "url", "date", "source"]
_NO_TEXT = pa.scalar("", pa.string())


@dataclass(frozen=True, slots=True)
class OpenOp:
    """An op ready to work."""

    name: str
    edits: bool
    families: frozenset[str]
    apply: Apply


def open_ops(ops: Sequence[Op]) -> list[OpenOp]:
    """Build what the ops need (models, lists), once a worker."""
    return [OpenOp(op.NAME, op.EDITS, op.families(), op.open()) for op in ops]


def cut(ops: Sequence[OpenOp]) -> list[list[OpenOp]]:
    """Segments: an op that edits text stands alone; runs of others stand together."""
    segments: list[list[OpenOp]] = []
    for op in ops:
        if op.edits or not segments or segments[-1][0].edits:
            segments.append([op])
        else:
            segments[-1].append(op)
    return segments


@dataclass(frozen=True, slots=True)
class Refined:
    """A batch when all segments are through."""

    kept: pa.Table  # documents
    rejected: pa.Table  # dropped documents with the text that they had then
    ledger: pa.Table  # one row a record of the batch, in its order


def refine(
    raw: pa.RecordBatch,
    segments: Sequence[Sequence[OpenOp]],
    source: str | None = None,
    evaluate_all: bool = False,
    skip: frozenset[str] = frozenset(),
    max_doc_bytes: int = MAX_DOC_BYTES,
) -> Refined:
    """Run all segments over one RAW batch.

    Args:
        source: value of the `source` column; None takes the name of each record's file.
        evaluate_all: run every segment over every readable row; decisions stay the same.
        skip: marks of records that crash a worker: dropped, and the ledger says so.
        max_doc_bytes: records with a larger body or text are dropped before any op.
    """
    size = raw.num_rows
    base = _born(raw)
    verdicts = Verdicts(size)
    _read_failures(base, verdicts, skip)
    _too_large(base, verdicts, max_doc_bytes)
    table = base.append_column("row", pa.array(np.arange(size)))
    if verdicts.dropped.any():
        table = table.filter(pa.array(~verdicts.dropped))
    ledger: dict[str, pa.Array] = {}
    rejected: list[pa.Table] = []
    rejected_rows: list[np.ndarray] = []
    for segment in segments:
        rows = table["row"].to_numpy()
        for op, result in _apply(segment, table):
            for failure in result.failures:
                verdicts.fail(op.name, failure, rows)
            for name, column in result.columns.items():
                table = _set(table, name, column)
            for name, column in result.ledger.items():
                ledger[_fresh(name, ledger)] = _scatter(column, rows, size)
        if segment[0].edits and "payload" in table.schema.names:
            table = table.drop_columns("payload")  # 30 times the text: let go before any copy
        dropped = verdicts.dropped[rows]
        if dropped.any() and not evaluate_all:
            rejected.append(_documents(table.filter(pa.array(dropped)), source))
            rejected_rows.append(rows[dropped])
            table = table.filter(pa.array(~dropped))
    documents = _documents(table, source)
    rows = table["row"].to_numpy()
    gone = verdicts.dropped[rows]
    rejected.append(documents.filter(pa.array(gone)))
    order = np.argsort(np.concatenate([*rejected_rows, rows[gone]]))  # that of the input
    thrown = pa.concat_tables(rejected, promote_options="default").select(documents.schema.names)
    located = {name: _one(base[name]) for name in ("id", "url", "file", "offset", "length")}
    located["payload_sha1"] = _one(base["payload_sha1"])
    return Refined(
        documents.filter(pa.array(~gone)),
        thrown if len(rejected) == 1 else thrown.take(order),
        pa.table({**located, **verdicts.columns(), **ledger}),
    )


def refine_one_by_one(raw: pa.RecordBatch, *args: Any, **options: Any) -> Refined:
    """`refine`, slowly, with each record in hand of the crash marker: the same outcome."""
    done = []
    for row, mark in enumerate(marker.record_marks(_born(raw))):
        marker.hold(mark)
        done.append(refine(raw.slice(row, 1), *args, **options))
    marker.hold()
    return Refined(
        pa.concat_tables([one.kept for one in done]),
        pa.concat_tables([one.rejected for one in done]),
        pa.concat_tables([one.ledger for one in done]),
    )


def _apply(segment: Sequence[OpenOp], table: pa.Table) -> list[tuple[OpenOp, OpResult]]:
    """Every op of a segment over all its rows; the signals are computed once, before the first."""
    families = frozenset[str]().union(*(op.families for op in segment))
    signals = compute_signals(_one(table["text"]), families) if families else {}
    results: list[tuple[OpenOp, OpResult]] = []
    if families:
        shown = {name: pa.array(values) for name, values in signals.items()}
        results.append((segment[0], OpResult(ledger=shown)))
    for op in segment:
        result = op.apply(table, signals)
        for name, column in result.columns.items():
            table = _set(table, name, column)  # later ops of the segment see it
        results.append((op, result))
    return results


def _read_failures(table: pa.Table, verdicts: Verdicts, skip: frozenset[str]) -> None:
    """Records that the reader could not use, and those that crashed a worker."""
    nothing = np.full(verdicts.size, np.nan)
    errors = _one(table["error"])
    if errors.null_count < verdicts.size:
        for reason in sorted(set(errors.drop_null().to_pylist())):
            mask = pc.fill_null(pc.equal(errors, reason), False).to_numpy(zero_copy_only=False)
            verdicts.fail("read", Failure(f"read.{reason}", mask, nothing), np.arange(len(mask)))
    if skip:
        mask = np.array([mark in skip for mark in marker.record_marks(table)], bool)
        verdicts.fail("read", Failure("read.crashed_worker", mask, nothing), np.arange(len(mask)))


def _too_large(table: pa.Table, verdicts: Verdicts, most: int) -> None:
    sizes = [pc.fill_null(pc.binary_length(table[name]), 0) for name in ("payload", "text")]
    size = pc.max_element_wise(*sizes).to_numpy().astype(np.float64)
    if (size > most).any():
        failure = Failure("read.too_large", size > most, size, most)
        verdicts.fail("read", failure, np.arange(verdicts.size))


def _born(raw: pa.RecordBatch) -> pa.Table:
    """With ids that the format carries, else made at birth from URL, date and payload digest."""
    table = pa.table(raw)
    given = table["id"].to_pylist()
    born = zip(
        given,
        table["url"].to_pylist(),
        table["date"].to_pylist(),
        table["payload_sha1"].to_pylist(),
        strict=True,
    )
    ids = [i if i is not None else document_id(url, date, sha1) for i, url, date, sha1 in born]
    return _set(table, "id", pa.array(ids, pa.string()))


def _documents(table: pa.Table, source: str | None) -> pa.Table:
    """Columns of a document, in their order; ops' own columns follow."""
    size = table.num_rows
    text = pc.fill_null(table["text"], _NO_TEXT)
    table = _set(table, "text", text)
    sources = table["file"] if source is None else pa.array([source] * size, pa.string())
    table = _set(table, "source", sources)
    table = _set(table, "text_digest", pa.array(text_digests(_views(_one(text))), pa.string()))
    rest = [n for n in table.schema.names if n not in _WORKING and n not in _FIRST]
    return table.select([*_FIRST, *rest])


def _views(texts: pa.Array) -> list[memoryview]:
    """The bytes of each text without making Python strings."""
    data, offsets = string_buffers(texts)
    view = data.data
    return [view[a:b] for a, b in pairwise(offsets.tolist())]


def _set(table: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    index = table.schema.get_field_index(name)
    if index < 0:
        return table.append_column(name, column)
    return table.set_column(index, name, column)


def _scatter(column: pa.Array, rows: np.ndarray, size: int) -> pa.Array:
    """Values of some rows of the batch as a column of all its rows, null elsewhere."""
    if len(rows) == size:
        return column
    index = np.full(size, -1, np.int64)
    index[rows] = np.arange(len(rows))
    return column.take(pa.array(index, mask=index < 0))


def _fresh(name: str, taken: Mapping[str, object]) -> str:
    """`words`, and `words_2` for the same signal of a later segment."""
    if name not in taken:
        return name
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


def _one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
