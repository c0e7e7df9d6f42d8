"""Characters before and after a place, exceptions, and what spaCy peels from the ends of a word.

In: bytes [start, end) without white space. Out: how many bytes to peel; the number of an exception.
Shown by: `python -m gristmill.text.spacy_like "(5km/h)..."`.
Limit: ASCII digits only, as in spaCy's rules.

Written anew from the published rules: spaCy 3.8, lang/punctuation.py (MIT licence).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gristmill.text.english import (
    ALPHA_UPPER,
    BEFORE_DOT,
    LONGEST_RULE,
    LONGEST_TAIL,
    PREFIX,
    SUFFIX,
    TAIL_END,
    find_rule,
    in_bloom,
    is_tail,
)
from gristmill.text.unicode import decode
from gristmill.text.words import hash_bytes

DOT, PLUS, HYPHEN = 0x2E, 0x2B, 0x2D
ELLIPSIS, DEGREE, APOSTROPHE = 0x2026, 0xB0, 0x2019


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def char_at(data, i, end, flag):  # type: ignore[no-untyped-def]
    """(code point, bytes, flags) of the character at i < end."""
    if data[i] < 0x80:
        return np.int64(data[i]), np.int64(1), flag[data[i]]
    cp, width = decode(data, i, end)
    return cp, width, flag[cp]


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def char_before(data, start, i, flag):  # type: ignore[no-untyped-def]
    """(code point, bytes, flags) of the character that ends at i > start."""
    j = i - 1
    if data[j] >= 0x80:
        while j > start and j > i - 4 and data[j] & 0xC0 == 0x80:
            j -= 1
        if decode(data, j, i)[1] != i - j:  # not UTF-8: one byte is one character
            j = i - 1
    return char_at(data, j, i, flag)


@njit(inline="always")
def is_digit(byte):  # type: ignore[no-untyped-def]
    """An ASCII digit, the only kind that spaCy's rules know."""
    return 0x30 <= byte <= 0x39


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def rule_at(data, start, end, book):  # type: ignore[no-untyped-def]
    """The exception that data[start:end] is, or -1."""
    if end - start > LONGEST_RULE:
        return np.int64(-1)
    value = hash_bytes(data, start, end)
    return find_rule(book, value) if in_bloom(book, 0, value) else np.int64(-1)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def prefix_length(data, start, end, flag):  # type: ignore[no-untyped-def]
    """Bytes to peel from the front; 0 for none."""
    cp, width, flags = char_at(data, start, end, flag)
    if flags & PREFIX:
        return width
    if cp == DOT:
        i = start + 1
        while i < end and data[i] == DOT:
            i += 1
        return i - start if i - start > 1 else 0
    if cp == PLUS:
        return 0 if start + 1 < end and is_digit(data[start + 1]) else 1
    if cp == 0x43 or cp == 0x41:  # C$ and A$
        return 2 if start + 1 < end and data[start + 1] == 0x24 else 0
    if cp == 0x55 and start + 2 < end and data[start + 1] == 0x53:  # US$
        return 3 if data[start + 2] == 0x24 else 0
    return 0


@njit(inline="always")
def _tail(data, start, end, book):  # type: ignore[no-untyped-def]
    """Bytes of the unit, currency or plus that follows the last digit; 0 for none."""
    i = end
    while i > start and end - i <= LONGEST_TAIL:
        if is_digit(data[i - 1]):
            return end - i if i < end and is_tail(book, hash_bytes(data, i, end)) else 0
        i -= 1
    return 0


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def suffix_length(data, start, end, flag, book, digits):  # type: ignore[no-untyped-def]
    """Bytes to peel from the end; 0 for none. The longest one that spaCy's patterns match."""
    if start >= end:
        return 0
    cp, width, flags = char_before(data, start, end, flag)
    if cp == DOT:
        return _final_dots(data, start, end, flag)
    if cp == ELLIPSIS and end - start >= 6 and decode(data, end - 6, end)[0] == ELLIPSIS:
        return 6
    if cp == 0x73 or cp == 0x53:  # 's 'S ’s ’S
        if end - start > 1:
            quote, quote_width, _ = char_before(data, start, end - 1, flag)
            if quote == 0x27 or quote == APOSTROPHE:
                return 1 + quote_width
    if digits and flags & TAIL_END:
        length = _tail(data, start, end, book)
        if length:
            return length
    return width if flags & SUFFIX else 0


@njit(inline="always")
def _final_dots(data, start, end, flag):  # type: ignore[no-untyped-def]
    """How many full stops to peel from the end."""
    i = end - 1
    while i > start and data[i - 1] == DOT:
        i -= 1
    if end - i > 1:
        return end - i
    if i == start:
        return 0
    _, width, flags = char_before(data, start, i, flag)
    if flags & BEFORE_DOT:
        return 1
    if i - width == start:
        return 0
    before, _, flags_before = char_before(data, start, i - width, flag)
    if flags & ALPHA_UPPER and flags_before & ALPHA_UPPER:
        return 1
    letter = data[i - 1] | 0x20
    return 1 if before == DEGREE and (letter == 0x66 or letter == 0x63 or letter == 0x6B) else 0
