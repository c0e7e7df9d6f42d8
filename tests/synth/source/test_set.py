"""Fields from fields: templates give texts, expressions give values."""

from __future__ import annotations

from typing import Any

import pytest

from gristmill.errors import RecipeError
from synth.items import Item, Row
from synth.ops import parse_op


def after(options: Any, **fields: Any) -> dict[str, Any] | tuple[str, str]:
    """Fields after the op, or (reason, detail)."""
    row = Row("row", 0, {}, seed=1)
    items = parse_op({"set": options}).plain([Item(fields)], row)
    return items[0].fields if items else (row.lost[0].reason, row.lost[0].detail)


def test_texts_are_rendered_from_the_fields_before() -> None:
    fields = after({"a": "{{ a }} and {{ b }}", "b": "was {{ a }}"}, a="A", b="B")
    assert fields == {"a": "A and B", "b": "was A"}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("turns + [{'role': 'user', 'content': said}]", [1, {"role": "user", "content": "hi"}]),
        ("said == 'hi' and n > 2", True),
        ("n * 2", 6),
        ("turns | map('string') | list", ["1"]),
        ("turns | map('string')", ["1"]),
        ("absent | default([])", []),
        ("said[:1] ~ n", "h3"),
    ],
)
def test_values_keep_their_kind(expression: str, value: object) -> None:
    fields = after({"values": {"found": expression}}, turns=[1], said="hi", n=3)
    assert isinstance(fields, dict) and fields["found"] == value


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"a": "{{ absent }}"}, "missing"),
        ({"values": {"a": "absent"}}, "missing"),
        ({"values": {"a": "absent.part"}}, "missing"),
        ({"values": {"a": "1 / 0"}}, "template"),
        ({"values": {"a": "said + 1"}}, "template"),
        ({"values": {"a": "said.__class__.__mro__"}}, "template"),
        ({"values": {"a": "turns.append(2)"}}, "template"),
    ],
)
def test_a_row_that_it_cannot_do_fails(options: Any, reason: str) -> None:
    assert after(options, said="hi", turns=[1])[0] == reason


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "names no field"),
        ({"a": "{{ b"}, "not valid Jinja"),
        ({"values": {"a": "b +"}}, "not valid Jinja"),
        ({"values": {"a": "b }} {{ c"}}, "not valid Jinja"),
        ({"texts": {"a": "x"}, "values": {"a": "1"}}, "both"),
    ],
)
def test_mistakes_are_refused(options: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_op({"set": options})
