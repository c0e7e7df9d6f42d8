"""score.length: what is counted in each unit."""

from __future__ import annotations

import pytest

from gristmill.errors import RecipeError
from synth.items import Item, Row
from synth.ops import parse_op

TEXT = "It rains - still. Does it?\n\n- one\n- two\n"


def scored(options: object, text: object = TEXT) -> tuple[list[Item], Row]:
    row = Row(id="r", number=0, source={}, seed=0)
    return parse_op({"score": {"length": options}}).plain([Item({"response": text})], row), row


@pytest.mark.parametrize(
    "unit, size",
    [
        ("words", 7),
        ("characters", len(TEXT)),
        ("sentences", 3),
        ("paragraphs", 2),
        ("lines", 3),
        ("bullets", 2),
    ],
)
def test_units(unit: str, size: int) -> None:
    (item,), _ = scored({"unit": unit, "into": "size"})
    assert item.fields["size"] == size
    assert {k: str(v) for k, v in parse_op({"score": "length"}).fields().items()} == {
        "length": "int64"
    }


def test_empty_and_missing() -> None:
    assert scored(None, "")[0][0].fields["length"] == 0
    kept, row = scored(None, None)
    assert kept == [] and [lost.reason for lost in row.lost] == ["missing"]


def test_unknown_units_are_refused() -> None:
    with pytest.raises(RecipeError, match="unit is 'tokens'"):
        scored({"unit": "tokens"})
