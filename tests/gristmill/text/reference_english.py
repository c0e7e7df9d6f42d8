"""English tokens and sentences by spaCy itself, and what the tests of its imitation share."""

from __future__ import annotations

import unicodedata
from functools import cache

import pytest
import spacy
from hypothesis import strategies as st
from spacy.language import Language

from gristmill.text.english import _archive, _cut
from tests.gristmill.text.strategies import lossy, texts

# the tables hold Python 3.11's view of characters; a newer Python knows more of them
same_unicode = pytest.mark.skipif(
    unicodedata.unidata_version != "14.0.0", reason="tables are of Unicode 14"
)
STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}


@cache
def spacy_english() -> Language:
    """spaCy's blank English pipeline with the rule-based sentencizer, as datatrove makes it."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    return nlp


def spacy_tokens(text: str) -> list[str]:
    """Tokens run by run: without the exceptions that spaCy finds across a space and then drops."""
    nlp = spacy_english()
    return [token.text for run in text.split() for token in nlp.tokenizer(run)]


def spacy_tokens_of_text(text: str) -> list[str]:
    """Tokens of the whole text, as datatrove has them."""
    found = (token.text.strip() for token in spacy_english().tokenizer(text))
    return [token for token in found if token]


def spacy_sentences(line: str) -> int:
    """Sentences of a line, as datatrove counts them."""
    return sum(bool(sentence.text.strip()) for sentence in spacy_english()(line).sents)


@cache
def exceptions() -> list[str]:
    raw = _archive()
    return [rule.decode() for rule in _cut(raw["rules"], raw["rule_offsets"])]


# pieces that rules ask for, glued together
_PIECES = (
    *"aAbzZ059.,;:!?'\"()[]{}<>-_#*&%+^=/@$|`",
    *"…’‘“”–—~·€£°²éЯ中،。😀٣\u0301\u200bª",
    "www.", "http://", "co.uk", "e.g.", "...", "--", "---", "US$", "'s", "’S", "km", "example.com",
    "U.S.", "n't", "°F.", "word", "Word.", "10.2.3.4", "8.8.8.8/a",
    " ", " ", " ", "  ", "\n", "\u00a0",
)  # fmt: skip


@st.composite
def english_like(draw: st.DrawFn) -> str:
    piece = st.sampled_from(_PIECES) | st.sampled_from(exceptions())
    return "".join(draw(st.lists(piece, max_size=14)))


any_text = (texts | english_like()).map(lossy)
