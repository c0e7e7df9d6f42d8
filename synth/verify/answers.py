"""The final answer of a completion, and plain numbers in it.

In: any text. Out: the part that is the answer, or None; a number as an exact fraction, or None.
Shown by: `python -m pytest tests/synth/verify/test_answers.py`.
Limit: markers are English; a completion without any is left to the verifier.

Every function is linear in the text and never raises.
"""

from __future__ import annotations

import re
from fractions import Fraction

LONGEST = 60  # characters of a plain number
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_MARKER = re.compile(
    r"####|(?:final |correct )?answer(?:\s+is)?\s*[:=]|answer\s+is\b|therefore,? the answer is\b",
    re.IGNORECASE,
)
_SIGN = r"[+-]?"
_DECIMAL = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+"
_PLAIN = re.compile(rf"({_SIGN})\s?({_DECIMAL})(?:[eE]([+-]?\d{{1,3}}))?")
_RATIO = re.compile(rf"({_SIGN})\s?(\d+)\s*/\s*(\d+)")
_FRAC = re.compile(
    rf"({_SIGN})\s?(\d*)\s*\\[dt]?frac\s*(?:\{{(-?\d+)\}}\s*\{{(\d+)\}}|(\d)\s*(\d))"
)
_MIXED = re.compile(rf"({_SIGN})\s?(\d+)\s+(\d+)\s*/\s*(\d+)")
_DROPPED = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "\u00a0": " ", "\u2009": " ", "\u202f": " "}
)
_SPACES = {"{,}": ",", "\\!": "", "\\,": " ", "\\;": " ", "\\:": " ", "\\ ": " "}


def boxed(text: str) -> str | None:
    """What stands in the last complete \\boxed{…}, braces balanced."""
    for match in reversed(list(_BOX.finditer(text))[-20:]):
        depth = 1
        for at in range(match.end(), min(len(text), match.end() + 2000)):
            if text[at] == "{":
                depth += 1
            elif text[at] == "}":
                depth -= 1
                if not depth:
                    return text[match.end() : at].strip()
    return None


def marked(text: str) -> str | None:
    """The answer that a completion marks: the last box, or what follows the last "answer is"."""
    box = boxed(text)
    if box is not None:
        return box
    markers = list(_MARKER.finditer(text))
    if not markers:
        return None
    rest = text[markers[-1].end() :].lstrip(" :*\n").partition("\n")[0]
    return tidy(rest) or None


def tidy(text: str) -> str:
    """Without what surrounds an answer: spaces, a final stop, emphasis, dollar signs."""
    text = text.strip().strip("*_").strip()
    if text.endswith("."):
        text = text[:-1]
    for left, right in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        inner = text.removeprefix(left).removesuffix(right)
        if text.startswith(left) and text.endswith(right) and len(text) > len(left):
            return inner.strip()
    return text.strip()


def last_line(text: str) -> str:
    """The last line that is not empty, tidied."""
    return tidy(text.rstrip().rpartition("\n")[2])


def unified(text: str) -> str:
    """One sign for minus and for a space, thousands without \\, or {,}."""
    text = text.translate(_DROPPED)
    for space, plain in _SPACES.items():
        text = text.replace(space, plain)
    return text


def plain_number(text: str) -> tuple[Fraction, bool] | None:
    """(value, written as a decimal) of a text that is one plain number; None of any other text.

    Whole numbers, decimals, 1,000, 1e5, a/b, \\frac{a}{b}, 1 1/2, with a sign, inside $ or not.
    """
    text = tidy(text)
    if not text or len(text) > LONGEST:
        return None
    text = unified(text).strip()
    if match := _PLAIN.fullmatch(text):
        sign, digits, power = match.groups()
        value = Fraction(digits.replace(",", "")) * Fraction(10) ** int(power or 0)
        return (-value if sign == "-" else value), "." in digits
    return _fraction(text)


def _fraction(text: str) -> tuple[Fraction, bool] | None:
    if match := _RATIO.fullmatch(text):
        sign, whole, top, bottom = match[1], "", match[2], match[3]
    elif match := _FRAC.fullmatch(text):
        sign, whole = match[1], match[2]
        top, bottom = match[3] or match[5], match[4] or match[6]
    elif match := _MIXED.fullmatch(text):
        sign, whole, top, bottom = match.groups()
    else:
        return None
    if not int(bottom) or (whole and top.startswith("-")):
        return None
    value = int(whole or 0) + Fraction(int(top), int(bottom))
    return (-value if sign == "-" else value), False
