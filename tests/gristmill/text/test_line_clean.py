"""C4's line rules equal a plain reference, dialect by dialect; sentences equal spaCy's."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gristmill.text import line_clean, line_sentences
from gristmill.text.datatrove_lines import tail_of
from gristmill.text.english import english
from gristmill.text.line_clean import DATATROVE, DOLMA, FINEWEB, PAPER, C4Rules, clean_lines
from gristmill.text.phrases import JAVASCRIPT, LOREM_IPSUM, POLICY, POLICY_PHRASES, phrases
from tests.gristmill.text import reference_lines as reference
from tests.gristmill.text.reference_english import (
    any_text,
    same_unicode,
    spacy_sentences,
    spacy_tokens,
    spacy_tokens_of_text,
)

DIALECTS = {"paper": PAPER, "datatrove": DATATROVE, "fineweb": FINEWEB, "dolma": DOLMA}
LINES = (
    "This line has enough words and ends well.",
    "This one does not end in a mark that counts",
    "Too few words.",
    "An ellipsis does not count as an end...",
    "We use of cookies, and this line has words enough.",
    "Please enable JAVASCRIPT to read any further here.",
    "Lorem ipsum dolor sit amet and so on it goes.",
    "A line with { a curly bracket in it, complete.",
    "Cited [12] words [edit] go [citation needed] here ok.[3]",
    "[1] [2] [3] [4] [5]",
    "[1] ends here.[2]",
    "java[1]script is one word when the citation is gone.",
    "He said that it was all over and \"done.\"",
    "He said that it was all over and 'done.'",
    "  white space around  the line is stripped away.  ",
    "x" * 1001 + " is a word too long for any line.",
    "x" * 1000 + " is a word just short enough here.",
    "é" * 1000 + " is a word just short enough here.",
    "",
    "   ",
    "Uses cooKies here and now in this line.",
    "[ 1] [x] [12 [١] brackets that are no citations or are.",
)  # fmt: skip
breaks = st.sampled_from(["\n", "\n", "\n\n", "\r\n", "\r", "\x0b", "\x1c", "\x85", "\u2028", " "])
pages = st.lists(st.tuples(st.sampled_from(LINES) | any_text, breaks), max_size=8).map(
    lambda parts: "".join(line + end for line, end in parts)
)


def _check(texts: list[str], rules: C4Rules) -> None:
    cleaned, counts = clean_lines(pa.array(texts, pa.string()), rules)
    for i, text in enumerate(texts):
        wanted, wanted_counts = reference.c4(text, rules)
        assert cleaned[i].as_py() == wanted, text
        assert {name: int(counts[name][i]) for name in wanted_counts} == wanted_counts, text


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_line_and_all_of_them(dialect: str) -> None:
    joined = ["\n".join(LINES), "\r\n".join(LINES) + "\r\n", "\x0b".join(LINES), *LINES, "\n", ""]
    _check(joined, DIALECTS[dialect])


def test_options() -> None:
    for change in (
        {"min_words": 0},
        {"min_words": 0, "end_marks": ""},
        {"end_marks": "~"},
        {"max_word_length": -1},
        {"citations": False},
        {"javascript": False, "policy": False},
        {"ellipsis_ends": True, "sentences": "none"},
    ):
        _check(["\n".join(LINES)], replace(DATATROVE, **change))  # type: ignore[arg-type]
        _check(["\n".join(LINES)], replace(PAPER, **change))  # type: ignore[arg-type]


@same_unicode
@settings(deadline=None, max_examples=80)
@given(st.lists(pages, min_size=1, max_size=3), st.sampled_from(sorted(DIALECTS)))
def test_kernel_equals_reference(texts: list[str], dialect: str) -> None:
    runs = " ".join(texts)
    assume(spacy_tokens_of_text(runs) == spacy_tokens(runs))
    _check(texts, DIALECTS[dialect])


def _spacy_like_sentences(line: str) -> int:
    raw = np.frombuffer(line.encode() or b" ", np.uint8)
    out = np.zeros(1, np.int64)
    line_sentences.spacy_sentences(raw, tail_of(raw), np.array([0, len(raw)]), *english(), out)
    return int(out[0])


@same_unicode
@settings(deadline=None, max_examples=300)
@given(any_text)
def test_sentences_equal_spacys(text: str) -> None:
    line = re.sub(r"\n", " ", text)
    assume(spacy_tokens_of_text(line) == spacy_tokens(line))
    assert _spacy_like_sentences(line) == spacy_sentences(line)


@pytest.mark.parametrize(
    "line",
    [
        "Dr. Smith went to Washington D.C. today. He e.g. said: \"Hi!\" Then he left.  And so?! on",
        "One. two. 3. 4. ... five! ?six (seven.) “Eight.” nine…  ten",
        "中文。没有。空格！ नमस्ते। ok. .. . end",
        "no mark at all", ".", "?!", "a.b.c d.e", "x" * 80 + ". " + "y" * 80 + ". z",
        ". a . b ! c", "Mr. Mrs. Ms. U.S. p.m. Inc. co. end. a. b.",
    ],
)  # fmt: skip
def test_sentences_of_lines(line: str) -> None:
    assert _spacy_like_sentences(line) == spacy_sentences(line)


def test_phrases_anywhere_in_any_case() -> None:
    wanted = {"javascript": JAVASCRIPT, "lorem ipsum": LOREM_IPSUM}
    wanted |= dict.fromkeys(POLICY_PHRASES, POLICY)
    for phrase, bit in wanted.items():
        for pad in range(58, 70):
            for form in (phrase, phrase.upper(), phrase.title()):
                raw = np.frombuffer((" " * pad + form + "s").encode(), np.uint8)
                assert phrases(raw, tail_of(raw), 0, len(raw)) == bit
                cut = raw[: pad + len(phrase) - 1].copy()
                cut.flags.writeable = False
                assert phrases(cut, tail_of(cut), 0, len(cut)) == 0


def test_nulls_slices_and_chunks() -> None:
    column = pa.chunked_array([[None, LINES[0]], [LINES[1], "", LINES[0]]]).slice(1)
    cleaned, counts = clean_lines(column, PAPER)
    assert cleaned.to_pylist() == [LINES[0], "", "", LINES[0]]
    assert counts["lines"].tolist() == [1, 1, 0, 1]
    assert clean_lines(pa.array([], pa.string()), PAPER)[0].to_pylist() == []
    assert line_clean.FAMILIES["c4_datatrove"].compute(column)["c4_datatrove_sentences"][0] == 1
