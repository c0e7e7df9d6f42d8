"""Tags: the last one counts; what is opened and not closed is told."""

from __future__ import annotations

import pytest

from gristmill.errors import RecipeError
from synth.ops import parse_op
from tests.synth.parse.parsing import parsed


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("So <answer>4</answer>.", "4"),
        ("<answer>3</answer> No: <answer>\n4\n</answer>", "4"),
        ("<ANSWER>4</Answer >", "4"),
        ('<answer kind="number">4</answer>', "4"),
        ("<answers>3</answers><answer>4</answer>", "4"),
        ("<answer>a < b and <b>c</b></answer>", "a < b and <b>c</b>"),
        ("<think>I write <answer>5</think><answer>4</answer>", "4"),
        ("<answer>one <answer>4</answer>", "4"),
    ],
)
def test_last_tag(text: str, answer: str) -> None:
    assert parsed({"tag": "answer"}, text)["answer"] == answer


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("It is 4.", "unparsable"),
        ("4</answer>", "unparsable"),
        ("<answer>4", "no_closing_tag"),
        ("<answer>3</answer> or rather <answer>4", "no_closing_tag"),
        ("<answer> </answer>", "empty"),
        ("I'm sorry, but I can't help with that.", "refused"),
    ],
)
def test_failures_are_typed(text: str, reason: str) -> None:
    assert parsed({"tag": "answer"}, text)[0] == reason


def test_several_tags_some_optional() -> None:
    both = {"tag": {"tag": ["input", "output"], "optional": ["input"]}}
    assert parsed(both, "<input></input><output>4</output>")["input"] == ""
    assert parsed(both, "<output>4</output>")["input"] == ""
    assert parsed(both, "<input>2+2</input><output>4</output>")["input"] == "2+2"
    assert parsed(both, "<input>2+2</input>")[0] == "unparsable"


def test_into_another_field() -> None:
    fields = parsed({"tag": {"tag": "improved", "into": "response"}}, "x <improved>y</improved>")
    assert fields["response"] == "y" and "improved" not in fields


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tag": "<answer>"}, "write the name alone"),
        ({"tag": ["a", "b"], "into": "c"}, "a single tag"),
        ({"tag": "a", "optional": ["b"]}, "does not name"),
    ],
)
def test_mistakes_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_op({"parse": {"tag": options}})
