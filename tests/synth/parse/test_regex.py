"""Named groups become fields."""

from __future__ import annotations

import pytest

from gristmill.errors import RecipeError
from synth.ops import parse_op
from tests.synth.parse.parsing import parsed


def test_first_and_last_match() -> None:
    pattern = r"Score: (?P<score>\d+)(?P<of>/10)?"
    text = "Score: 3/10 at first.\nScore: 7"
    assert parsed({"regex": pattern}, text)["score"] == "3"
    fields = parsed({"regex": {"pattern": pattern, "last": True}}, text)
    assert (fields["score"], fields["of"]) == ("7", "")
    assert parsed({"regex": pattern}, "no score")[0] == "unparsable"


def test_cuts_any_field() -> None:
    halves = {"regex": {"of": "text", "pattern": r"(?s)(?P<prefix>(?:\S+\s+){2})(?P<suffix>.+)"}}
    fields = parsed(halves, "", text="one two\nthree\n\nfour")
    assert (fields["prefix"], fields["suffix"]) == ("one two\n", "three\n\nfour")


@pytest.mark.parametrize(("pattern", "message"), [("a(b", "parse.regex"), (r"\d+", "name what")])
def test_mistakes_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_op({"parse": {"regex": pattern}})
