"""Lists as models write them."""

from __future__ import annotations

import pytest

from tests.synth.parse.parsing import parsed


@pytest.mark.parametrize(
    "text",
    [
        "1. One\n2. Two\n3. Three",
        "1) One\n2) Two\n3) Three",
        "- One\n- Two\n- Three",
        "* One\n\n* Two\n\n* Three",
        "• One\n• Two\n• Three",
        "a) One\nb) Two\nc) Three",
        "(1) One\n(2) Two\n(3) Three",
        "Here are three:\n\n1. **One**\n2. Two\n3. Three\n\nI hope this helps.",
        "  - One\n  - Two\n  - Three",
        "1: One\n2: Two\n3: Three",
    ],
)
def test_shapes(text: str) -> None:
    assert parsed("list", text)["entries"] == ["One", "Two", "Three"]


def test_what_goes_on_belongs_to_its_entry() -> None:
    text = "1. One\nand a half\n   - with a part\n2. Two\n\n   still two\n\nThe end."
    assert parsed("list", text)["entries"] == ["One\nand a half\n- with a part", "Two\nstill two"]


def test_text_that_is_no_list() -> None:
    assert (
        parsed("list", "Just a sentence - with a dash.\n-5 degrees, 3.5 metres")[0] == "unparsable"
    )


def test_least_and_most() -> None:
    text = "- a\n- b\n- c"
    assert parsed({"list": {"max": 2, "into": "facts"}}, text)["facts"] == ["a", "b"]
    assert parsed({"list": {"min": 4}}, text) == (
        "unparsable",
        "the list has 3 entries, 4 wanted",
    )
