"""score.regex: found or whole, with a limit of time as work."""

from __future__ import annotations

import pytest

from gristmill.errors import RecipeError
from synth.calls import Answer, Call, Failure, Work
from synth.items import Item, Row
from synth.ops import parse_op
from synth.score.regex import found


def scored(options: object, *texts: str) -> list[bool]:
    row = Row(id="r", number=0, source={}, seed=0)
    flow = parse_op({"score": {"regex": options}}).run([Item({"response": t}) for t in texts], row)
    with pytest.raises(StopIteration) as end:
        next(flow)
    return [item.fields["matched"] for item in end.value.value]


def test_found_and_whole() -> None:
    assert scored(r"\d+", "in 1999", "never") == [True, False]
    assert scored({"pattern": r"\d+", "whole": True}, "1999", "in 1999", "19\n") == [
        True,
        False,
        False,
    ]


def test_a_limit_of_time_makes_it_work() -> None:
    op = parse_op({"score": {"regex": {"pattern": "^(a+)+$", "seconds": 1, "into": "as"}}})
    row = Row(id="r", number=0, source={}, seed=0)
    flow = op.run([Item({"response": "aaa"}), Item({"response": "a" * 50 + "b"})], row)
    calls: list[Call] = next(flow)
    first = calls[0]
    assert isinstance(first, Work) and first.seconds == 1 and found(*first.args) is True
    with pytest.raises(StopIteration) as end:
        flow.send([Answer(value=True), Failure("timeout")])
    assert [item.fields["as"] for item in end.value.value] == [True]
    assert [lost.reason for lost in row.lost] == ["timeout"]


def test_a_pattern_that_does_not_compile_is_refused() -> None:
    with pytest.raises(RecipeError, match="missing \\)"):
        parse_op({"score": {"regex": "(a"}})
