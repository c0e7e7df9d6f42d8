"""The small tasks of `use: mixture`: choose documents, look for trouble, walk, conclude.

In: a task's context and what it is about. Out: a record, or files for later phases. Shown by:
`ls STORE/.staging/*/` while a mixture is built. Limit: those that fill rows are in
mixtures.blend.fill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from gristmill.mapped import open_tokens
from gristmill.step import TaskContext
from gristmill.store import Store
from mixtures.blend.checks import check_vocabulary, shared_documents
from mixtures.blend.in_context import neighbour_order
from mixtures.blend.selection import load, select
from mixtures.blend.token_ledger import SCHEMA as LEDGER

PLAN = pa.schema([("spec", pa.string())])
SELECTION, WALK = "rows.bin", "order.bin"


def select_documents(
    ctx: TaskContext,
    store: str,
    ref: str,
    where: str | None,
    by: Sequence[str],
    order_by: str | None = None,
    descending: bool = False,
) -> dict[str, Any]:
    """Groups of one declared source; their row numbers in the file SELECTION."""
    dataset = Store(store)[ref]
    groups = select(dataset, ctx.path(SELECTION), where, by, order_by, descending)
    ctx.advance(dataset.rows)
    return {"groups": [asdict(group) for group in groups]}


def look_for_shared(
    ctx: TaskContext, store: str, declared: Sequence[tuple[str, str, str | None]]
) -> dict[str, Any]:
    """Documents that several declared sources hold."""
    found = shared_documents(Store(store), declared)
    ctx.advance(1)
    return {"shared": found}


def look_at_tokens(ctx: TaskContext, store: str, ref: str, vocab_size: int) -> dict[str, Any]:
    """Every token of a dataset against the vocabulary."""
    largest = check_vocabulary(Store(store)[ref], vocab_size)
    ctx.advance(1)
    return {"largest": largest}


def walk(
    ctx: TaskContext, store: str, ref: str, selection: Path | None, first: int, count: int,
    seed: int,
) -> dict[str, Any]:  # fmt: skip
    """A source's documents in the order of neighbours, in the file WALK."""
    tokens, rows = open_tokens(Store(store)[ref]), load(selection, first, count)
    neighbour_order(tokens, rows, count, seed, ctx.path(WALK), ctx.path("sketches.bin"))
    ctx.advance(count)
    return {"documents": count}


def conclude(ctx: TaskContext, spec: str, report: pa.Table, ledger: pa.Table) -> dict[str, Any]:
    """The outputs that are made of what the others found."""
    ctx.writer(".plan", PLAN).write(pa.table({"spec": [spec]}, PLAN))
    ctx.writer(".report", report.schema).write(report)
    ctx.writer(".token_ledger", LEDGER).write(ledger)
    ctx.advance(1)
    return {}
