"""JSON in completions, valid or not under a schema."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gristmill.errors import RecipeError
from synth.verify.structure import fault, read, validator, verify_json_schema
from tests.extras import needs

needs("jsonschema")

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "completion, valid",
    [
        ('{"name": "Ada", "age": 36}', True),
        ('```json\n{"name": "Ada"}\n```', True),
        ('{"name": "Ada", "age": -1}', False),
        ('{"age": 36}', False),
        ('{"name": "Ada", "more": 1}', False),
        ('Here it is: {"name": "Ada"}', False),
        ('{"name": "Ada", "age": NaN}', False),
        ("[" * 100_000, False),
        ("", False),
    ],
)
def test_schema(completion: str, valid: bool) -> None:
    assert verify_json_schema(completion, json.dumps(PERSON)) == float(valid)
    assert (fault(completion, json.dumps(PERSON)) == "") == valid


def test_faults_say_where() -> None:
    assert "$.age" in fault('{"name": "x", "age": "old"}', json.dumps(PERSON))
    assert "no JSON" in fault("nothing", json.dumps(PERSON))


@pytest.mark.parametrize("schema", ["nothing", "[1]", '{"type": "objekt"}', '{"minimum": "x"}'])
def test_what_is_no_schema(schema: str) -> None:
    with pytest.raises(RecipeError, match="schema"):
        validator(schema)
    assert verify_json_schema("{}", schema) == 0


def test_other_documents_are_not_fetched() -> None:
    schema: dict[str, Any] = {"$ref": "http://127.0.0.1:9/schema.json"}
    assert verify_json_schema("{}", json.dumps(schema)) == 0


def test_a_pattern_that_backtracks_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth.verify.structure.SECONDS", 1.0)
    hard = json.dumps({"type": "string", "pattern": "^(a+)+$"})
    assert verify_json_schema(json.dumps("aaa"), hard) == 1
    assert verify_json_schema(json.dumps("a" * 40 + "b"), hard) == 0


def test_read() -> None:
    assert read("[1, 2]") == ([1, 2], "")
    assert read("1" * 10_000)[0] is None  # more digits than Python reads
