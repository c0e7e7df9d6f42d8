"""What the kernels know of a code point: word-break class, category, flags, lower case; and UTF-8.

In: unicode.npz beside this file (made by generate_unicode.py from one pinned Unicode version).
Out: `tables()`, to be handed to kernels as one argument, and inlined look-ups for use inside them.
Shown by: `python -m gristmill.text.unicode é`.
Limit: one code point at a time: an ASCII fast path belongs into the caller.

    record = lookup(tables, cp)           # int64
    record & WB_MASK                      # index into WORD_BREAKS (UAX #29)
    (record >> CATEGORY_SHIFT) & 31       # index into CATEGORIES (general category)
    record & (LETTER | NUMBER)            # flags, below
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

BLOCK_BITS = 7

# Word_Break property values; index = class number in a record. "Other" must be 0.
WORD_BREAKS = (
    "Other", "CR", "LF", "Newline", "Extend", "ZWJ", "Format", "Regional_Indicator", "Katakana",
    "Hebrew_Letter", "ALetter", "Single_Quote", "Double_Quote", "MidNumLet", "MidLetter", "MidNum",
    "Numeric", "ExtendNumLet", "WSegSpace",
)  # fmt: skip
WB_MASK = 31
(
    WB_OTHER, WB_CR, WB_LF, WB_NEWLINE, WB_EXTEND, WB_ZWJ, WB_FORMAT, WB_REGIONAL, WB_KATAKANA,
    WB_HEBREW, WB_ALETTER, WB_SINGLE_QUOTE, WB_DOUBLE_QUOTE, WB_MID_NUM_LET, WB_MID_LETTER,
    WB_MID_NUM, WB_NUMERIC, WB_EXTEND_NUM_LET, WB_WSEG_SPACE,
) = range(19)  # fmt: skip

CATEGORIES = (
    "Cn", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps",
    "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co",
)  # fmt: skip
CATEGORY_SHIFT = 5

LETTER = 1 << 10  # general category L
MARK = 1 << 11  # M
NUMBER = 1 << 12  # N
PUNCT = 1 << 13  # P
SPACE = 1 << 14  # White_Space
UPPER = 1 << 15  # Uppercase
LOWER = 1 << 16  # Lowercase
ALPHABETIC = 1 << 17  # Alphabetic (letters, letter numbers, dependent vowels)
IDEOGRAPH = 1 << 18  # ideographs and kana letters: one word each
SPACELESS = 1 << 19  # Thai, Lao, Khmer, Myanmar, ...: written without spaces (line break SA)
PREPENDED = 1 << 20  # Thai and Lao vowels written before their consonant
LINKER = 1 << 21  # conjoining viramas: the next letter belongs to the same cluster
PICTOGRAPH = 1 << 22  # Extended_Pictographic (emoji)
CASED = 1 << 23  # has a simple lower case other than itself
IGNORABLE = 1 << 24  # invisible inside a word: soft hyphen, joiners, variation selectors
TERMINAL = 1 << 25  # Sentence_Terminal: . ? ! and their kin in all scripts

REPLACEMENT = 0xFFFD


# One flat array, because an array costs a numba call seven arguments. Stage 1 holds, for each block
# of code points, where its records begin; then the same for lower-case deltas; then both stages 2.
Tables = npt.NDArray[np.uint32]
BLOCKS = 0x110000 >> BLOCK_BITS
_OFFSET = (1 << BLOCK_BITS) - 1


@cache
def _archive() -> dict[str, npt.NDArray[Any]]:
    with np.load(Path(__file__).with_name("unicode.npz")) as archive:
        return dict(archive)


@cache
def tables() -> Tables:
    """The tables, loaded once a process; hand them to kernels as they are."""
    table: Tables = _archive()["tables"]
    return table


def unicode_version() -> str:
    """The Unicode version that the tables were made from, as "18.0.0"."""
    return str(_archive()["version"])


@njit(inline="always")
def lookup(tables, cp):  # type: ignore[no-untyped-def]
    """The record (int64) of a code point (0 <= cp < 0x110000)."""
    return np.int64(tables[np.int64(tables[cp >> BLOCK_BITS]) + (cp & _OFFSET)])


@njit(inline="always")
def simple_lower(tables, cp):  # type: ignore[no-untyped-def]
    """The one-to-one lower case of a code point; call it where CASED is set, it is slower."""
    begin = np.int64(tables[BLOCKS + (cp >> BLOCK_BITS)])
    return (cp + np.int64(tables[begin + (cp & _OFFSET)])) & 0x1FFFFF


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def decode(data, i, end):  # type: ignore[no-untyped-def]
    """Code point at byte i and its length in bytes: (int64, int64), for i < end.

    Never reads at or past `end`; the length is 1 to 4. Bytes that are no UTF-8 give U+FFFD for each
    maximal subpart, exactly as `bytes.decode("utf-8", "replace")` does.
    """
    b0 = np.int64(data[i])
    if b0 < 0x80:
        return b0, np.int64(1)
    b1 = np.int64(data[i + 1]) if i + 1 < end else np.int64(0)
    if 0xC2 <= b0 <= 0xDF:
        if b1 & 0xC0 == 0x80:
            return (b0 & 0x1F) << 6 | b1 & 0x3F, np.int64(2)
        return np.int64(REPLACEMENT), np.int64(1)
    # the second byte excludes overlong forms, surrogates and what lies past U+10FFFF
    if 0xE0 <= b0 <= 0xEF:
        low = np.int64(0xA0 if b0 == 0xE0 else 0x80)
        high = np.int64(0x9F if b0 == 0xED else 0xBF)
    elif 0xF0 <= b0 <= 0xF4:
        low = np.int64(0x90 if b0 == 0xF0 else 0x80)
        high = np.int64(0x8F if b0 == 0xF4 else 0xBF)
    else:
        return np.int64(REPLACEMENT), np.int64(1)
    if b1 < low or b1 > high:
        return np.int64(REPLACEMENT), np.int64(1)
    b2 = np.int64(data[i + 2]) if i + 2 < end else np.int64(0)
    if b2 & 0xC0 != 0x80:
        return np.int64(REPLACEMENT), np.int64(2)
    if b0 < 0xF0:
        return (b0 & 0x0F) << 12 | (b1 & 0x3F) << 6 | b2 & 0x3F, np.int64(3)
    b3 = np.int64(data[i + 3]) if i + 3 < end else np.int64(0)
    if b3 & 0xC0 != 0x80:
        return np.int64(REPLACEMENT), np.int64(3)
    return (b0 & 0x07) << 18 | (b1 & 0x3F) << 12 | (b2 & 0x3F) << 6 | b3 & 0x3F, np.int64(4)


def describe(char: str) -> str:
    """One line on a character, for people."""
    table, cp = tables(), ord(char)
    record = int(lookup.py_func(table, cp))
    flags = [
        name
        for name in (
            "LETTER", "MARK", "NUMBER", "PUNCT", "SPACE", "UPPER", "LOWER", "ALPHABETIC",
            "IDEOGRAPH", "SPACELESS", "PREPENDED", "LINKER", "PICTOGRAPH", "CASED", "IGNORABLE",
            "TERMINAL",
        )
        if record & globals()[name]
    ]  # fmt: skip
    return (
        f"U+{cp:04X} {CATEGORIES[record >> CATEGORY_SHIFT & 31]} {WORD_BREAKS[record & WB_MASK]} "
        f"{' '.join(flags)} lower=U+{int(simple_lower.py_func(table, cp)):04X}"
    )


if __name__ == "__main__":
    for char in "".join(sys.argv[1:]):
        print(describe(char))
