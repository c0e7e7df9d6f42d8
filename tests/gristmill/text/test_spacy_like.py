"""Our English tokens are those of spaCy's blank pipeline."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from gristmill.text.spacy_like import scratch_for, spacy_like_tokens
from tests.gristmill.text.reference_english import (
    any_text,
    exceptions,
    same_unicode,
    spacy_tokens,
    spacy_tokens_of_text,
)

TEXTS = [
    "Don't (really) go to U.S.-style e-mail: a@b.org!",
    "It's 5km/h, $3.50 or 10US$; 20% (approx.) at 11a.m. :-)",
    "see http://user:pw@host.example.org:8080/a?b=c#d, www.x.co.uk/path. End.",
    "8.8.8.8/x 10.0.0.1/x 300.1.1.1/x 8.8.8.8:80/x 1.2.3/x",
    "and/or w/o <3 o.O >.< ¯\\(ツ)/¯ hello:)",
    ":):):)))",
    "well-known--and---so—on ~ a~b 5-6 5--6 x^2 2^3 3*4 a,b 1,2 A.b a.B 'a.'B",
    "“Quoted,” she said… ‘No!’ 'tis '90s rock'n'roll can't've y'all",
    "cannot gonna Id wed cant. Cannot! (gonna) IM Im i'm I'M",
    "Mr. Smith (Mr. Jones) vs. the U.S.A. in Calif., Inc. co. No. 5 Jan. a. b) C.",
    "+5 +x 5+ C++ c# #tag @name _x_ *bold* `code` [link](a.b) {x} <b>",
    "тест 中文。没有 空格 العربية، नमस्ते। İstanbul ſ ﬁ",
    "....... ... .. . …… ……… !!! ?! '' \" ' ’",
    "x" * 70 + "." + "y" * 70 + ", " + "ab " * 40 + "end",
    "\u00a0a\u2003b\u3000c\x1cd\x85e\u2028f \t g",
    "°C. 5°C. °F. IS_ALPHA (╯°□°）╯︵┻━┻ (-_-)",
]


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_equal_spacys(text: str) -> None:
    assert spacy_like_tokens(text) == spacy_tokens_of_text(text)


def test_every_exception_by_itself_and_wrapped() -> None:
    for rule in exceptions():
        for text in (rule, f"({rule})", f'"{rule},"', f"x {rule} y"):
            assert spacy_like_tokens(text) == spacy_tokens(text), text


@same_unicode
@settings(deadline=None, max_examples=400)
@given(any_text)
def test_tokens_equal_spacys_on_any_text(text: str) -> None:
    assert spacy_like_tokens(text) == spacy_tokens(text)


def test_exceptions_across_a_space_are_the_one_difference() -> None:
    text = "( =(a"  # spaCy meets "( =" first, drops it for its space, and no longer sees "=("
    assert spacy_tokens_of_text(text) == ["(", "=", "(", "a"]
    assert spacy_like_tokens(text) == spacy_tokens(text) == ["(", "=(", "a"]


def test_long_runs_take_time_in_proportion_and_no_more_room() -> None:
    for run in ("(" * 50_000, "." * 50_000, "a." * 25_000, ":)" * 20_000, "@a.b" * 10_000):
        assert "".join(spacy_like_tokens(run)) == run
    assert scratch_for(10)[0].dtype == np.int64
