"""score.verifier: each row's own verifier, those that need other services, and their failures."""

from __future__ import annotations

import json
from importlib import import_module

import pytest

from gristmill.errors import RecipeError
from synth.calls import Answer, Call, Failure, Work
from synth.items import Item, Row
from synth.ops import parse_op
from synth.procedural.tasks import TASKS, rows
from tests.extras import needs

needs("math_verify", "jsonschema")


def run(given: list[Item], options: object = None, seed: int = 0) -> tuple[list[Item], Row]:
    """The op over items; its work is done here, and there is no sandbox."""
    row = Row(id="r", number=0, source={}, seed=seed)
    flow = parse_op({"score": {"verifier": options}}).run(given, row)
    try:
        calls = next(flow)
        flow.send([answer(call) for call in calls])
    except StopIteration as end:
        return end.value, row
    raise AssertionError("it asked twice")


def answer(call: Call) -> Answer | Failure:
    if not isinstance(call, Work):
        return Failure("engine", "no sandbox")
    module, _, name = call.function.partition(":")
    return Answer(value=getattr(import_module(module), name)(*call.args))


@pytest.mark.parametrize("name", sorted(TASKS))
def test_procedural_rows(name: str) -> None:
    drawn = list(rows(name, 6, 1))
    right = [Item({**row, "response": row["answer"]}) for row in drawn]
    wrong = [Item({**row, "response": "I do not know"}) for row in drawn]
    scored, _ = run([*right, *wrong])
    assert [item.fields["reward"] for item in scored] == [1.0] * 6 + [0.0] * 6


def test_one_verifier_for_all_rows() -> None:
    given = [Item({"response": "$x(x+1)$", "answer": "x^2+x"}), Item({"response": "x"})]
    scored, row = run(given, {"name": "maths", "into": "right"})
    assert [item.fields["right"] for item in scored] == [1.0]
    assert [lost.reason for lost in row.lost] == ["missing"]
    with pytest.raises(RecipeError, match="did you mean 'maths'"):
        parse_op({"score": {"verifier": {"name": "math"}}}).check()
    parse_op({"score": {"verifier": {"name": "code"}}}).check()


def test_code_without_a_sandbox_fails() -> None:
    scored, row = run([Item({"response": "a = 1", "answer": "assert a", "verifier": "code"})])
    assert scored == []
    assert [(lost.reason, lost.detail) for lost in row.lost] == [("engine", "no sandbox")]


def test_schemas_and_constraints() -> None:
    hard = {"type": "string", "pattern": "^a+$"}
    given = [
        Item({"response": '"aaa"', "answer": hard, "verifier": "json_schema"}),
        Item({"response": '"aab"', "answer": json.dumps(hard), "verifier": "json_schema"}),
        Item({"response": "small", "answer": {"case": "lower"}, "verifier": "constraints"}),
    ]
    scored, _ = run(given)
    assert [item.fields["reward"] for item in scored] == [1.0, 0.0, 1.0]


def test_rows_that_cannot_be_judged_fail_and_say_why() -> None:
    given = [
        Item({"response": "x", "answer": "y"}),
        Item({"response": "x", "answer": "y", "verifier": "exactt"}),
        Item({"response": "x", "answer": '{"wrods": 3}', "verifier": "constraints"}),
        Item({"response": "x", "answer": "{", "verifier": "json_schema"}),
    ]
    scored, row = run(given)
    assert scored == []
    assert [lost.reason for lost in row.lost] == ["missing", "rejected", "rejected", "rejected"]
    assert "did you mean 'exact'" in row.lost[1].detail
    assert "did you mean 'words'" in row.lost[2].detail
