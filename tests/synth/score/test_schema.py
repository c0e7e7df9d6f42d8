"""score.schema: a schema in the recipe or in a file; patterns are tried elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gristmill.errors import RecipeError
from synth.calls import Answer, Failure, Work
from synth.items import Item, Row
from synth.ops import dump_ops, parse_op
from tests.extras import needs

needs("jsonschema")
PAIR = {"type": "object", "required": ["question", "answer"]}
RIGHT, WRONG = '{"question": "?", "answer": "!"}', '{"question": "?"}'


def row() -> Row:
    return Row(id="r", number=0, source={}, seed=0)


def test_inline_and_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pair.json"
    path.write_text(json.dumps(PAIR))
    for schema in (PAIR, str(path)):
        op = parse_op({"score": {"schema": {"schema": schema}}})
        op.check()
        flow = op.run([Item({"response": text}) for text in (RIGHT, WRONG, "no")], row())
        with pytest.raises(StopIteration) as end:
            next(flow)
        assert [item.fields["valid"] for item in end.value.value] == [True, False, False]
    assert op.files() == [str(path)]
    assert dump_ops([op]) == [
        {"score.schema": {"schema": str(path), "of": "response", "into": "valid"}}
    ]


def test_a_parsed_value_is_checked_too() -> None:
    op = parse_op({"score": {"schema": {"schema": PAIR, "of": "pair", "into": "good"}}})
    flow = op.run([Item({"pair": {"question": 1, "answer": 2}}), Item({})], one := row())
    with pytest.raises(StopIteration) as end:
        next(flow)
    assert [item.fields["good"] for item in end.value.value] == [True]
    assert [lost.reason for lost in one.lost] == ["missing"]


def test_patterns_are_work() -> None:
    op = parse_op({"score": {"schema": {"schema": {"type": "string", "pattern": "^a+$"}}}})
    flow = op.run([Item({"response": t}) for t in ('"aa"', '"b"', '"c"')], one := row())
    calls = next(flow)
    assert all(isinstance(call, Work) for call in calls) and len(calls) == 3
    with pytest.raises(StopIteration) as end:
        flow.send([Answer(value=""), Answer(value="$: no"), Failure("timeout")])
    assert [item.fields["valid"] for item in end.value.value] == [True, False]
    assert [lost.reason for lost in one.lost] == ["timeout"]


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        parse_op({"score": {"schema": {"schema": str(tmp_path / "none.json")}}}).check()
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(RecipeError, match="is no JSON"):
        parse_op({"score": {"schema": {"schema": str(tmp_path / "bad.json")}}}).check()
    with pytest.raises(RecipeError, match="objekt"):
        parse_op({"score": {"schema": {"schema": {"type": "objekt"}}}}).check()
