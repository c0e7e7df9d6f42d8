"""Counts of a text: words, sentences, paragraphs, bullets.

In: any text. Out: a whole number.
Shown by: `python -m pytest tests/synth/verify/test_constraints.py`.
Limit: sentences end at . ! ? and their like before a space: "e.g. this" counts as two.

The word kernels of gristmill.text take columns; for one short text plain Python is faster than
making a column of it.
"""

from __future__ import annotations

import re

_SENTENCE = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s|$)|[。！？]+")
_BULLET = re.compile(r"^[ \t]*(?:[-*•+]|\d{1,3}[.)])[ \t]+\S", re.MULTILINE)
_BREAK = re.compile(r"\n[ \t]*\n")


def words(text: str) -> int:
    """Pieces between spaces that have a letter or a digit."""
    return sum(any(c.isalnum() for c in piece) for piece in text.split())


def characters(text: str) -> int:
    """Code points."""
    return len(text)


def sentences(text: str) -> int:
    """Runs of . ! ? that a space or the end follows; what stands after the last one counts too."""
    count, end = 0, 0
    for match in _SENTENCE.finditer(text):
        if any(c.isalnum() for c in text[end : match.start()]):
            count += 1
        end = match.end()
    return count + any(c.isalnum() for c in text[end:])


def paragraphs(text: str) -> int:
    """Parts between empty lines that are not empty."""
    return sum(bool(part.strip()) for part in _BREAK.split(text))


def lines(text: str) -> int:
    """Lines that are not empty."""
    return sum(bool(line.strip()) for line in text.splitlines())


def bullets(text: str) -> int:
    """Lines that begin with - * + • or a number and a dot."""
    return len(_BULLET.findall(text))


UNITS = {
    "words": words,
    "characters": characters,
    "sentences": sentences,
    "paragraphs": paragraphs,
    "lines": lines,
    "bullets": bullets,
}
