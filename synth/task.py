"""The task of a synthesize step: one range of source rows through the driver, into three outputs.

In: a span of rows. Out: emitted rows, ledger rows, completions, and counts.
Shown by: `gristmill run pipelines/recipes/synth/diverse_qa.yaml`.
Limit: a range ends before the next begins; its last requests run with less company.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gristmill.errors import GristmillError
from gristmill.parting import at_parting
from gristmill.task import TaskContext
from synth.driver import Finished, drive
from synth.driving.budget import Purse
from synth.driving.garbage import rare_collections
from synth.driving.goodput import Goodput, Pace
from synth.driving.log import Logs
from synth.driving.services import Services
from synth.items import Row
from synth.ledger import (
    COMPLETIONS,
    LEDGER,
    Outcome,
    account,
    completions_table,
    ledger_table,
)
from synth.selecting import CANDIDATES, LEDGERS, SCORED, SCORES, CandidateFiles
from synth.source.rows import Span

if TYPE_CHECKING:
    from synth.step import Synthesize

BATCH, BATCH_SECONDS = 256, 1.0  # rows written together, and how long the first of them waits


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
    services = Services(step.engines, digests=Path(store) / ".cache" / "digests.jsonl")
    return State(step, services, logs, Purse(step.budget, prices), schema)


def synthesize(ctx: TaskContext, span: Span) -> dict[str, Any]:
    """One task."""
    state: State = ctx.state
    step = state.step
    writing = _Writing(ctx, state.schema, final=step.top is None)
    total, states = Goodput(), Counter[str]()
    _count_done(ctx, state.purse)
    pace = Pace(total, ctx.say, ctx.advance)
    source = _Counted(span.read(step.seed))
    done = drive(
        source,
        step.flow,
        state.services,
        state.logs,
        purse=state.purse,
        goodput=total,
        window=step.window,
        tick=pace.tick,
    )
    with rare_collections(), at_parting(state.logs.flush), closing(done):
        for outcomes in _batches(_outcomes(done, step)):
            with total.timed("write"):
                writing.write(outcomes)
            for one in outcomes:
                account(total, one)
                states[one.state] += 1
            pace.rows, pace.kept = states.total(), states["kept"]
    writing.close()
    pace.finish()
    if source.count != states.total():
        raise GristmillError(
            f"{source.count} rows in, {dict(states)} accounted for: this is a defect, please "
            "report it"
        )
    return {
        "rows": states.total(),
        "states": dict(states),
        "goodput": total.record(),
        "notes": state.logs.notes(),
        "spent": {"tokens": state.purse.tokens, "cost": state.purse.cost},
    }


class _Counted:
    """An iterator that knows how much was taken."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> Row:
        row = next(self._rows)
        self.count += 1
        return row


class _Writing:
    """The outputs of a task; of candidates that a cut will choose from, files beside them."""

    def __init__(self, ctx: TaskContext, schema: pa.Schema, final: bool) -> None:
        self._schema = schema
        self._completions = ctx.writer(".completions", COMPLETIONS)
        self._final = (ctx.writer("", schema), ctx.writer(".ledger", LEDGER)) if final else None
        self._files = None if final else CandidateFiles(ctx, schema)

    def write(self, outcomes: list[Outcome]) -> None:
        """Rows in the order of the source."""
        emitted = fitted(outcomes, self._schema)
        self._completions.write(completions_table(outcomes))
        if self._final is not None:
            self._final[0].write(emitted)
            self._final[1].write(ledger_table(outcomes))
        if self._files is not None:
            self._files.write(CANDIDATES, emitted)
            self._files.write(LEDGERS, ledger_table(outcomes))
            self._files.write(SCORES, scores_table(outcomes))

    def close(self) -> None:
        if self._files is not None:
            self._files.close()


def _outcomes(done: Iterator[Finished], step: Synthesize) -> Iterator[Outcome]:
    emit, top = step.emit, step.top
    for one in done:
        if top is None:
            yield Outcome(one, emit.rows(one.items, one.row, step.name))
            continue
        scored = Outcome(one, [])
        for item in one.items:
            rows = emit.rows([item], one.row, step.name)
            scored.rows += rows
            scored.scores |= {row["id"]: float(item.fields[top.by]) for row in rows}
        yield scored


def scores_table(outcomes: list[Outcome]) -> pa.Table:
    """The score of each candidate, in their order."""
    pairs = [(row["id"], one.scores[row["id"]]) for one in outcomes for row in one.rows]
    ids, scores = [id_ for id_, _ in pairs], [score for _, score in pairs]
    return pa.Table.from_pydict({"id": ids, "score": scores}, SCORED)


def _batches(outcomes: Iterator[Outcome]) -> Iterator[list[Outcome]]:
    held: list[Outcome] = []
    since = 0.0
    for one in outcomes:
        if not held:
            since = time.monotonic()
        held.append(one)
        if len(held) >= BATCH or time.monotonic() - since >= BATCH_SECONDS:
            yield held
            held = []
    if held:
        yield held


def fitted(outcomes: list[Outcome], schema: pa.Schema) -> pa.Table:
    """The emitted rows as a table; rows whose values do not fit their columns fail instead."""
    try:
        return pa.Table.from_pylist([row for one in outcomes for row in one.rows], schema)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        for one in outcomes:
            one.rows = [row for row in one.rows if _fits(row, one, schema)]
        return pa.Table.from_pylist([row for one in outcomes for row in one.rows], schema)


def _fits(row: dict[str, Any], one: Outcome, schema: pa.Schema) -> bool:
    for name, value in row.items():  # JSON lines may hold numbers where others hold texts
        if isinstance(value, int | float) and pa.types.is_string(schema.field(name).type):
            row[name] = json.dumps(value)
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
