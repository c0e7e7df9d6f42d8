"""JSON in completions: fenced, bare, among other text, by a schema; failures are typed."""

from __future__ import annotations

import pyarrow as pa
import pytest

from gristmill.errors import RecipeError
from synth.ops import parse_op
from tests.extras import needs
from tests.synth.parse.parsing import parsed

needs("jsonschema")
GRADED = {
    "type": "object",
    "properties": {
        "grade": {"type": "integer", "minimum": 1, "maximum": 5},
        "why": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["grade"],
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('Here:\n```json\n{"a": {"b": [1, 2]}}\n```\nDone.', {"a": {"b": [1, 2]}}),
        ('Draft {"a": 1}, final {"a": 2}.', {"a": 2}),
        ('As in [1] the answer is {"a": 1} [2].', {"a": 1}),
        ("[1, 2, 3]", [1, 2, 3]),
        ('{not JSON} but {"a": "{"}', {"a": "{"}),
        ('{"a": {broken {"b": 1}}', {"b": 1}),
        ('{"a": NaN} {"b": 2}', {"b": 2}),
        ('{"b": 2} {"a": 1e999}', {"b": 2}),
        ('{"b": 2} {"a": 99999999999999999999}', {"b": 2}),
        ('{"b": 2} {"a": "\\ud800"}', {"b": 2}),
        ('{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
    ],
)
def test_last_value(text: str, value: object) -> None:
    assert parsed("json", text)["parsed"] == value


@pytest.mark.parametrize(
    "text", ["nothing", '{"a": 1', "{'a': 1}", "{", "[" * 100_000, '{"a":' * 100_000, '"a"']
)
def test_no_value_is_unparsable(text: str) -> None:
    assert parsed("json", text)[0] == "unparsable"


def test_keys_become_fields() -> None:
    op = {"json": {"keys": ["grade", "why"], "into": "verdict"}}
    fields = parsed(op, '{"grade": 3, "why": "short", "response": "no"}')
    assert (fields["grade"], fields["why"]) == (3, "short")
    assert fields["response"].startswith("{"), "keys that were not asked for overwrite nothing"
    assert parsed(op, '{"grade": 3}') == ("unparsable", "the JSON has no key 'why'")
    assert parsed(op, "[3]")[0] == "unparsable"


def test_schema_chooses_and_explains() -> None:
    op = {"json": {"schema": GRADED, "keys": ["grade"]}}
    assert parsed(op, '{"grade": 4} and an aside {"x": 1}')["grade"] == 4
    reason, detail = parsed(op, '{"grade": 9}')
    assert reason == "unparsable" and "$.grade" in detail and "9" in detail


def test_types_come_from_the_schema() -> None:
    op = parse_op({"parse": {"json": {"schema": GRADED, "keys": ["grade", "why", "tags"]}}})
    assert op.fields() == {
        "grade": pa.int64(),
        "why": pa.string(),
        "tags": pa.list_(pa.string()),
    }


def test_wrong_schemas_are_refused() -> None:
    with pytest.raises(RecipeError, match="no JSON Schema"):
        parse_op({"parse": {"json": {"schema": {"type": "objekt"}}}})
