"""Rare places of a text, looked at byte by byte: ends of lines and sentences, phrases, URLs.

In: bytes and a position that the block kernel (scan.py) found. Out: flags, counts, how far it read.
Shown by: `python -m gristmill.text.signals "- Terms of use: see www.example.org ..."`.
Limit: phrases are English, as in C4; they are compared without regard to ASCII case.

Every function reads forward over bytes that no other call of it reads, so a text costs time in
proportion to its length whatever it holds.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gristmill.text import unicode as u
from gristmill.text.simd import byte_mask
from gristmill.text.unicode import decode, lookup

# flags of a line, by its first and last characters
BULLET, ELLIPSIS, TERMINAL, C4_TERMINAL, FINEWEB_TERMINAL = 1, 2, 4, 8, 16
# what a rare place is
NOTHING, ELLIPSES, URL, JAVASCRIPT, LOREM_IPSUM, POLICY = range(6)

# NeMo Curator's bullets, and the squares, dashes and stars that lists of web pages begin with
BULLETS = "•‣⁃⁌⁍∙○●◘◦⦾⦿▪▫■□·*-"
_BULLETS = np.array(sorted(map(ord, BULLETS)), np.int64)
# full stops of scripts without spaces end a sentence wherever they stand
WIDE_STOPS = "。．！？｡"
_WIDE_STOPS = np.array(sorted(map(ord, WIDE_STOPS)), np.int64)

# C4's phrases of notices (TFDS c4_utils); JavaScript and lorem ipsum are its own rules
POLICY_PHRASES = (
    "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies",
    "use cookies",
)  # fmt: skip
PHRASES = ("javascript", "lorem ipsum", *POLICY_PHRASES)
_TEXT = np.frombuffer("".join(PHRASES).encode(), np.uint8)
_BEGIN = np.cumsum([0, *map(len, PHRASES)])
# the byte of each phrase that scan.py finds it by, and where in the phrase it is
_KEY_AT = np.array([0, 4, 3, 3, 3, 8, 10, 7])
_KEYS = np.array([ord(p[i]) for p, i in zip(PHRASES, _KEY_AT, strict=True)], np.uint8)

_ONE, _TWO = np.uint64(1), np.uint64(2)
_TOP1, _TOP2 = np.uint64(1 << 63), np.uint64(3 << 62)
_PE, _PI, _PF = (u.CATEGORIES.index(c) << u.CATEGORY_SHIFT for c in ("Pe", "Pi", "Pf"))
_CATEGORY = 31 << u.CATEGORY_SHIFT


@njit(inline="always")
def _closes(cp, record):  # type: ignore[no-untyped-def]
    """Whether a character may stand between a terminator and the end: a quote or a bracket."""
    kind = record & _CATEGORY
    return kind == _PE or kind == _PF or kind == _PI or cp == 0x22 or cp == 0x27


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def line_flags(data, first, last, end, tables):  # type: ignore[no-untyped-def]
    """Flags of a line whose first and last characters that are not space begin at those bytes."""
    flags = 0
    cp, _ = decode(data, first, end)
    for bullet in _BULLETS:
        if cp == bullet:
            flags = BULLET
    cp, width = decode(data, last, end)
    dots = last - first >= 2 and cp == 0x2E and data[last - 1] == 0x2E and data[last - 2] == 0x2E
    if dots or cp == 0x2026:
        flags |= ELLIPSIS
    if cp == 0x2E or cp == 0x21 or cp == 0x3F or cp == 0x22:
        flags |= FINEWEB_TERMINAL
        if not dots:
            flags |= C4_TERMINAL
    elif cp == 0x27:
        flags |= FINEWEB_TERMINAL
    record = lookup(tables, cp)
    while _closes(cp, record) and last > first:
        after = last
        last -= 1
        while last > first and data[last] & 0xC0 == 0x80:
            last -= 1
        cp, width = decode(data, last, end)
        if last + width != after:  # stray bytes, no character
            cp = np.int64(u.REPLACEMENT)
        record = lookup(tables, cp)
    if record & u.TERMINAL or cp == 0x2026:
        flags |= TERMINAL
    return flags


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def ends_sentence(data, i, end, tables):  # type: ignore[no-untyped-def]
    """Whether the terminator at byte i ends a sentence.

    It is the last of its run; after it come closing quotes or brackets and white space or the end
    of the text; a full stop is none where a lower-case letter follows the white space in its line.
    """
    cp, width = decode(data, i, end)
    full_stop = cp == 0x2E
    wide = False
    for stop in _WIDE_STOPS:
        wide = wide or cp == stop
    i += width
    closed = False
    while i < end:
        cp, width = decode(data, i, end)
        record = lookup(tables, cp)
        if not closed and record & u.TERMINAL:
            return False
        if not _closes(cp, record):
            break
        closed = True
        i += width
    if i >= end or wide:
        return True
    if not record & u.SPACE:
        return False
    while full_stop and cp != 0x0A:
        i += width
        if i >= end:
            return True
        cp, width = decode(data, i, end)
        record = lookup(tables, cp)
        if not record & u.SPACE:
            return not record & u.LOWER
    return True


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _phrase_at(data, i, begin, end, number):  # type: ignore[no-untyped-def]
    """Whether phrase `number` stands at byte i, in any ASCII case, inside data[begin:end]."""
    length = _BEGIN[number + 1] - _BEGIN[number]
    if i < begin or i + length > end:
        return False
    for k in range(length):
        byte = data[i + k]
        if 0x41 <= byte <= 0x5A:
            byte |= 0x20
        if byte != _TEXT[_BEGIN[number] + k]:
            return False
    return True


@njit(inline="always")
def rare_mask(source, i, dots, spaces):  # type: ignore[no-untyped-def]
    """Where `rare_place` must look; sure to hold every place, also those across the block."""
    c = byte_mask(source, i, 0x20, 0x63, 1)
    e = byte_mask(source, i, 0x20, 0x65, 1)
    letter_i = byte_mask(source, i, 0x20, 0x69, 1)
    k = byte_mask(source, i, 0x20, 0x6B, 1)
    m = byte_mask(source, i, 0x20, 0x6D, 1)
    a = byte_mask(source, i, 0x20, 0x61, 1)
    w = byte_mask(source, i, 0x20, 0x77, 1)
    ellipsis = dots & (dots >> _ONE | _TOP1) & (dots >> _TWO | _TOP2)
    java = byte_mask(source, i, 0x20, 0x6A, 1) & (a >> _ONE | _TOP1)
    cookie = k & (letter_i >> _ONE | _TOP1) & (e >> _TWO | _TOP2)
    privacy = byte_mask(source, i, 0x20, 0x76, 1) & (a >> _ONE | _TOP1) & (c >> _TWO | _TOP2)
    terms = (byte_mask(source, i, 0x20, 0x73, 1) >> _ONE | _TOP1) & (spaces >> _TWO | _TOP2)
    lorem = (spaces >> _ONE | _TOP1) & (letter_i >> _TWO | _TOP2)
    colon = byte_mask(source, i, 0, 0x3A, 1) & (byte_mask(source, i, 0, 0x2F, 1) >> _ONE | _TOP1)
    www = w & (w >> _ONE | _TOP1) & (w >> _TWO | _TOP2)
    return ellipsis | java | cookie | privacy | (m & (terms | lorem)) | colon | www


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def rare_place(data, i, begin, end, tables):  # type: ignore[no-untyped-def]
    """What begins at (or around) byte i of the text data[begin:end]: (kind, count, next byte).

    i is the byte that scan.py looks for: the first of "...", "ja" and "m i"; the "ki" of cookies,
    the "va" of privacy, the "ms" of terms; the ":" of "://" and the first "w" of "www". `count` is
    the number of ellipses, or the characters of the URL; the caller skips to `next byte`.
    """
    byte = data[i] | 0x20
    if byte == 0x2E:
        j = i
        while j < end and data[j] == 0x2E:
            j += 1
        return ELLIPSES, (j - i) // 3, j
    for number in range(len(_KEYS)):
        if byte == _KEYS[number] and _phrase_at(data, i - _KEY_AT[number], begin, end, number):
            kind = POLICY if number > 1 else LOREM_IPSUM if number else JAVASCRIPT
            return kind, 0, i + 1
    if byte == 0x3A:
        if i + 2 < end and data[i + 1] == 0x2F and data[i + 2] == 0x2F:
            secure = i - 5 >= begin and data[i - 1] | 0x20 == 0x73
            j = i - 5 if secure else i - 4
            if (
                j >= begin
                and data[j] | 0x20 == 0x68
                and data[j + 1] | 0x20 == 0x74
                and data[j + 2] | 0x20 == 0x74
                and data[j + 3] | 0x20 == 0x70
            ):
                return _url(data, j, i, end, tables)
    if byte == 0x77:
        if i + 3 < end and data[i + 1] | 0x20 == 0x77 and data[i + 2] | 0x20 == 0x77:
            if data[i + 3] == 0x2E and (i == begin or not _alphanumeric(data[i - 1])):
                return _url(data, i, i, end, tables)
    return NOTHING, 0, i + 1


@njit(inline="always")
def _alphanumeric(byte):  # type: ignore[no-untyped-def]
    folded = byte | 0x20
    return 0x30 <= byte <= 0x39 or 0x61 <= folded <= 0x7A


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _url(data, i, known, end, tables):  # type: ignore[no-untyped-def]
    """A URL from byte i (ASCII up to `known`) to white space: (URL, characters, where it ends)."""
    count, j = known - i, known
    while j < end:
        cp, width = decode(data, j, end)
        if lookup(tables, cp) & u.SPACE:
            break
        count += 1
        j += width
    return URL, count, j
