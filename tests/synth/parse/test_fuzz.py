"""No text makes a parser raise, and none takes more than linear work."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.calls import REASONS
from tests.extras import needs
from tests.synth.parse.parsing import parsed

needs("jsonschema")
PARSERS: list[Any] = [
    "text",
    {"tag": {"tag": ["answer", "b"], "optional": ["b"]}},
    {"json": {"schema": {"type": "object"}, "keys": ["a"]}},
    {"regex": r"(?P<a>\w+)"},
    "list",
    {"pairs": {"draw_per_words": 3}},
    "code",
]
PIECES = [
    "<think>", "</think>", "<answer>", "</answer>", "<b >", "{", "}", '{"a":', "[", "]", '"', "\\",
    "\\ud800", "NaN", "1e999", "1" * 30, "```", "````py", "~~~", "`", "- ", "1. ", "**", "#", "(",
    "Question: ", "Answer: ", "Q1: ", "A: ", "?", ":", "\n", "\n\n", " ", "\t", "  ", "\r", "\x00",
    "\u2028", "word", "I'm sorry, but ", "Here is the text:\n", "Sure!\n", "<text>", "</text>", "é",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=60).map("".join)


@pytest.mark.parametrize("parser", PARSERS, ids=str)
@settings(deadline=None)
@given(text=texts)
def test_fields_or_a_typed_failure(parser: Any, text: str) -> None:
    found = parsed(parser, text, text=text)
    assert isinstance(found, dict) or found[0] in REASONS


LONG = [piece * (100_000 // len(piece)) for piece in PIECES]
LONG += [a + b * 100_000 for a in ("<answer", "{", "```", "- ", "Q", "**") for b in (" ", "*", "`")]
LONG += ["{" + '"a":[' * 50_000, "?" * 50_000 + "x" * 50_000, "~" * 100_000 + "`", " \n" * 50_000]


@pytest.mark.parametrize("parser", PARSERS, ids=str)
def test_work_is_linear(parser: Any) -> None:
    """A quadratic pattern would take minutes on any of these; the alarm ends it."""

    def too_long(*_: object) -> None:
        raise TimeoutError(f"{parser} on {text[:30]!r}…")

    before = signal.signal(signal.SIGALRM, too_long)
    try:
        for text in LONG:
            signal.alarm(20)
            parsed(parser, text, text="")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
