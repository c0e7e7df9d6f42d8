"""Ops driven by hand: items of one row, and answers from a function or from an engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from synth.calls import Answer, Call, Engine, Failure
from synth.items import Item, Row
from synth.ops import SynthOp, parse_op

Answers = list[Answer | Failure]


def row(name: str = "r1", seed: int = 0, **source: Any) -> Row:
    """A source row."""
    return Row(name, 0, source, seed)


def samples(*fields: dict[str, Any]) -> list[Item]:
    """The samples of one prompt, in order."""
    return [Item(dict(values), path=(number,)) for number, values in enumerate(fields)]


def score(options: Any, items: Sequence[Item], of: Row | None = None) -> list[Item]:
    """Run an op that makes no calls, given as a recipe writes it."""
    op = options if isinstance(options, SynthOp) else parse_op(options)
    return drive(op, list(items), of or row(), lambda calls: [])


def drive(
    op: SynthOp, items: list[Item], of: Row, answer: Callable[[list[Call]], Answers]
) -> list[Item]:
    """Run an op to its end; `answer` is given every list of calls."""
    running = op.run(items, of)
    try:
        calls = next(running)
        while True:
            calls = running.send(answer(calls))
    except StopIteration as end:
        found: list[Item] = end.value
        return found


def answers_of(engine: Engine) -> Callable[[list[Call]], Answers]:
    """Let an engine that has started answer."""

    def answer(calls: list[Call]) -> Answers:
        found: dict[int, Answer | Failure] = {}
        for ticket, ready in enumerate(engine.prepare(calls)):  # type: ignore[arg-type]
            if isinstance(ready, Failure):
                found[ticket] = ready
            else:
                engine.submit(ticket, ready)
        while len(found) < len(calls):
            found |= dict(engine.poll(1.0))
        return [found[ticket] for ticket in range(len(calls))]

    return answer


def lost(of: Row) -> list[tuple[str, str]]:
    """Stage and reason of every candidate that went no further."""
    return [(one.stage, one.reason) for one in of.lost]
