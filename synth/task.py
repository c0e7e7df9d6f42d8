"""The task of a synthesize step: one range of source rows through the driver, into three outputs.

In: a span of rows. Out: emitted rows, ledger rows, completions, and counts.
Shown by: `gristmill run pipelines/recipes/synth/diverse_qa.yaml`.
Limit: a range ends before the next begins; its last requests run with less company.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gristmill.errors import GristmillError
from gristmill.task import TaskContext
from synth.driver import Finished, drive
from synth.driving.budget import Purse
from synth.driving.goodput import Goodput, Pace
from synth.driving.log import Logs
from synth.driving.services import Services
from synth.emit import Emit
from synth.ledger import (
    COMPLETIONS,
    LEDGER,
    Outcome,
    account,
    completions_table,
    ledger_table,
)
from synth.source.rows import Span

if TYPE_CHECKING:
    from synth.step import Synthesize

BATCH = 256  # rows written together


@dataclass(slots=True)
class State:
    """What lives as long as a worker in one step."""

    step: Synthesize
    services: Services
    logs: Logs
    purse: Purse
    schema: pa.Schema


def set_up(step: Synthesize, store: str, schema: pa.Schema) -> State:
    """Engines are opened when a request needs them, and stay open for steps that use the same."""
    prices = {name: getattr(spec, "price", None) or {} for name, spec in step.engines.items()}
    logs = Logs(Path(store) / ".requests")
    return State(step, Services(step.engines), logs, Purse(step.budget, prices), schema)


def synthesize(ctx: TaskContext, span: Span) -> dict[str, Any]:
    """One task."""
    state: State = ctx.state
    step, emit = state.step, state.step.emit
    total = Goodput()
    states: Counter[str] = Counter()
    rows = 0
    _count_done(ctx, state.purse)
    pace = Pace(ctx.say)
    outputs = [ctx.writer("", state.schema), ctx.writer(".ledger", LEDGER)]
    completions = ctx.writer(".completions", COMPLETIONS)
    done = drive(
        span.read(step.seed),
        step.flow,
        state.services,
        state.logs,
        purse=state.purse,
        goodput=total,
        window=step.window,
    )
    for outcomes in _batches(_outcomes(done, emit, step.name)):
        with total.timed("write"):
            emitted = fitted(outcomes, state.schema)
            outputs[0].write(emitted)
            outputs[1].write(ledger_table(outcomes))
            completions.write(completions_table(outcomes))
        for one in outcomes:
            account(total, one)
            states[one.state] += 1
        rows += len(outcomes)
        ctx.advance(len(outcomes))
        pace.tell(total, states["kept"])
    if rows != sum(states.values()):
        raise GristmillError(f"{rows} rows, {dict(states)}: this is a defect, please report it")
    return {
        "rows": rows,
        "states": dict(states),
        "goodput": total.record(),
        "notes": state.logs.notes(),
        "spent": {"tokens": state.purse.tokens, "cost": state.purse.cost},
    }


def _outcomes(done: Iterator[Finished], emit: Emit, name: str) -> Iterator[Outcome]:
    for one in done:
        yield Outcome(one, emit.rows(one.items, one.row, name))


def _batches(outcomes: Iterator[Outcome]) -> Iterator[list[Outcome]]:
    while batch := list(islice(outcomes, BATCH)):
        yield batch


def fitted(outcomes: list[Outcome], schema: pa.Schema) -> pa.Table:
    """The emitted rows as a table; rows whose values do not fit their columns fail instead."""
    try:
        return pa.Table.from_pylist([row for one in outcomes for row in one.rows], schema)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        for one in outcomes:
            one.rows = [row for row in one.rows if _fits(row, one, schema)]
        return pa.Table.from_pylist([row for one in outcomes for row in one.rows], schema)


def _fits(row: dict[str, Any], one: Outcome, schema: pa.Schema) -> bool:
    try:
        pa.Table.from_pylist([row], schema)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        one.done.row.fail("emit", "unparsable", str(error))
        return False
    return True


def _count_done(ctx: TaskContext, purse: Purse) -> None:
    """What tasks that were finished before spent of the budget."""
    tokens, cost = 0, 0.0
    for record in sorted((Path(ctx.run.staging) / ctx.phase).glob("*/task.json")):
        try:
            spent = json.loads(record.read_text())["value"]["spent"]
        except (OSError, ValueError, KeyError):
            continue
        tokens, cost = max(tokens, spent["tokens"]), max(cost, spent["cost"])
    purse.tokens, purse.cost = max(purse.tokens, tokens), max(purse.cost, cost)
