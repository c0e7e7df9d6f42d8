"""The op `score: tests` on one item, its calls run in the sandbox."""

from __future__ import annotations

from typing import Any

from synth.calls import Answer, Execute, Failure
from synth.items import Item, Row
from synth.ops import SynthOp, parse_op
from synth.sandbox import Limits, run


def score(program: str, tests: Any, **options: Any) -> tuple[dict[str, Any], Row]:
    """The op on one item, its calls run in the sandbox."""
    op = parse_op({"score": {"tests": options}} if options else {"score": "tests"})
    row = Row("r", 0, {}, 1)
    item = Item({"code": program, "tests": tests})
    return _driven(op, item, row), row


def _driven(op: SynthOp, item: Item, row: Row) -> dict[str, Any]:
    flow = op.run([item], row)
    try:
        calls = next(flow)
        answers: list[Answer | Failure] = []
        for call in calls:
            assert isinstance(call, Execute)
            outcome = run(
                call.program, stdin=call.stdin, files=call.files, limits=Limits(cpu=4, idle=2)
            )
            answers.append(Answer(value=outcome))
        flow.send(answers)
    except StopIteration as end:
        return dict(end.value[0].fields) if end.value else {}
    raise AssertionError("it asked twice")


def rate(program: str, tests: str) -> float:
    return float(score(program, tests)[0]["passed_rate"])
