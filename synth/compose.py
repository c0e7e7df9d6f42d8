"""The Python face of synth: a flow over plain dicts, without a store.

In: rows, ops and engines, as a recipe writes them or as objects. Out: emitted rows, each with its
provenance, and what became of every row. Shown by the example below.
Limit: answers are kept in memory; for more than some thousand rows use the step `synthesize`.

    from synth.compose import run_flow

    result = run_flow(
        [{"id": "a", "topic": "rivers"}, {"id": "b", "topic": "trains"}],
        do=[
            {"prompt": {"user": "Write a sentence on {{ topic }}."}},
            {"sample": {"n": 2, "max_tokens": 60}},
            {"emit": {"columns": ["topic"]}},
        ],
        engines={"main": {"transformers": {"model": "models/tiny"}}},
    )
    result.rows[0]["text"], result.ledger[0]["state"]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gristmill.errors import RecipeError
from synth.checks import check_flow
from synth.driver import drive
from synth.driving.budget import Budget, Purse
from synth.driving.goodput import Goodput, facts
from synth.driving.log import Logs
from synth.driving.services import Services
from synth.emit import Emit
from synth.engines.spec import parse_spec
from synth.items import Row
from synth.ledger import Outcome, account, ledger_row
from synth.ops import parse_ops
from synth.select.top import Top
from synth.source.forms import schema_of
from synth.source.rows import row_id


@dataclass(frozen=True, slots=True)
class Result:
    """What a flow made: emitted rows, a ledger row for each row given, tokens and seconds."""

    rows: list[dict[str, Any]]
    ledger: list[dict[str, Any]]
    completions: list[dict[str, Any]]
    facts: dict[str, Any]


def run_flow(
    rows: Iterable[Mapping[str, Any]],
    do: Sequence[Any],
    engines: Mapping[str, Any],
    *,
    seed: int = 0,
    name: str = "flow",
    requests: str | Path | None = None,
    budget: Budget | Mapping[str, Any] | None = None,
    window: int | None = None,
) -> Result:
    """Run a flow over plain dicts, in order.

    Args:
        rows: an `id` names a row in seeds and provenance; without one its values do.
        do, engines: as in a recipe, or as objects.
        requests: a folder that keeps the answers of models for later calls.
    Raises: RecipeError for what the arguments show to be wrong, before any model is loaded.
    """
    ops = parse_ops(do)
    specs = {label: parse_spec(label, entry) for label, entry in engines.items()}
    given = [dict(row) for row in rows]
    check_flow(ops, specs, schema_of(given[:1000]))
    if any(isinstance(op, Top) for op in ops):
        raise RecipeError(
            "`select: top` compares all rows in a second pass, which only the step makes; sort "
            "the rows of run_flow yourself"
        )
    emit = ops[-1]
    assert isinstance(emit, Emit)  # check_flow saw to it
    limits = budget if isinstance(budget, Budget) else Budget.model_validate(budget or {})
    prices = {label: getattr(spec, "price", None) or {} for label, spec in specs.items()}
    total = Goodput()
    services = Services(specs, shared=False)
    source = (Row(row_id(values), place, values, seed) for place, values in enumerate(given))
    result = Result([], [], [], {})
    try:
        logs = Logs(Path(requests) if requests is not None else None)
        purse = Purse(limits, prices)
        finished = drive(
            source, ops[:-1], services, logs, purse=purse, goodput=total, window=window
        )
        with closing(finished):  # whatever ends this, answers that came are in the log
            for done in finished:
                one = Outcome(done, emit.rows(done.items, done.row, name))
                account(total, one)
                result.rows.extend(one.rows)
                result.ledger.append(ledger_row(one))
                result.completions.extend(
                    {"id": done.row.id, "stage": made.stage, "key": made.key, "text": text}
                    for made, text in done.row.made
                )
    finally:
        services.close()
    result.facts.update(facts(total))
    return result
