"""score.maths: plain answers at once, symbolic ones as work, what becomes of failures."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from gristmill.errors import RecipeError
from synth.calls import Answer, Failure, Work
from synth.items import Item, Row
from synth.ops import parse_op
from tests.extras import needs

needs("math_verify")


def row() -> Row:
    return Row(id="r", number=0, source={}, seed=1)


def done(call: Work) -> Answer:
    """What the call brings, run here."""
    module, _, name = call.function.partition(":")
    return Answer(value=getattr(import_module(module), name)(*call.args))


def items(*texts: str, answer: Any = "1/2") -> list[Item]:
    return [Item({"response": text, "answer": answer}) for text in texts]


def test_plain_answers_ask_for_nothing() -> None:
    op = parse_op({"score": "maths"})
    flow = op.run(items("It is 0.5.\n#### 0.5", "2"), row())
    with pytest.raises(StopIteration) as end:
        next(flow)
    assert [item.fields["correct"] for item in end.value.value] == [True, False]
    assert {name: str(kind) for name, kind in op.fields().items()} == {"correct": "bool"}


def test_symbolic_answers_are_work_in_order() -> None:
    op = parse_op({"score": {"maths": {"into": "right", "seconds": 3}}})
    flow = op.run(items("$x^2+x$", "x", "$x(x+1)$", answer="x^2+x"), row())
    calls = next(flow)
    assert [type(call) for call in calls] == [Work, Work]  # the first is equal letter by letter
    assert all(isinstance(call, Work) and call.seconds == 3 for call in calls)
    with pytest.raises(StopIteration) as end:
        flow.send([done(call) for call in calls if isinstance(call, Work)])
    assert [item.fields["right"] for item in end.value.value] == [True, False, True]


@pytest.mark.parametrize("reason", ["timeout", "crashed"])
def test_an_answer_that_cannot_be_judged_is_wrong(reason: str) -> None:
    flow = parse_op({"score": "maths"}).run(items("$9^{9^9}$", answer="10^{10^{10}}"), row())
    next(flow)
    with pytest.raises(StopIteration) as end:
        flow.send([Failure(reason)])
    assert [item.fields["correct"] for item in end.value.value] == [False]


def test_other_failures_and_missing_fields_are_told() -> None:
    one = row()
    given = [*items("y", "2", answer="x"), Item({"response": "2"}), Item({"answer": "2"})]
    flow = parse_op({"score": "maths"}).run(given, one)
    calls = next(flow)
    with pytest.raises(StopIteration) as end:
        flow.send([Failure("server", "gone"), *[Answer(value=False)] * (len(calls) - 1)])
    assert len(end.value.value) == 1
    assert [(lost.reason, lost.failed) for lost in one.lost] == [
        ("missing", True),
        ("missing", True),
        ("server", True),
    ]


def test_numbers_as_answers_and_unknown_keys() -> None:
    flow = parse_op({"score": "maths"}).run(items("The answer is 42.", answer=42), row())
    with pytest.raises(StopIteration) as end:
        next(flow)
    assert end.value.value[0].fields["correct"] is True
    with pytest.raises(RecipeError, match="did you mean 'answer'"):
        parse_op({"score": {"maths": {"anwser": "x"}}})
