"""Is a word a URL, host name or e-mail address, as spaCy's tokeniser sees it?

In: bytes [start, end) without white space. Out: True when the whole of it is one.
Shown by: `python -m gristmill.text.spacy_like "Write to a@b.org or see gristmill.example/docs."`.
Limit: digits of other scripts count as letters in addresses of the form 192.0.2.1.

The pattern (spaCy 3.8 `lang/tokenizer_exceptions.py`, after D. Perini's) backtracks; here it is one
walk: an address may start at the front, after `scheme://`, and after any `@`.
"""

from __future__ import annotations

from numba import njit

from gristmill.text.english import ALPHA_LOWER, URL_EDGE, WORD
from gristmill.text.unicode import decode

MOST_LABEL, MOST_TLD = 64, 63


@njit(inline="always")
def _flags(data, i, end, flag):  # type: ignore[no-untyped-def]
    if data[i] < 0x80:
        return flag[data[i]], 1
    cp, width = decode(data, i, end)
    return flag[cp], width


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def is_url(data, start, end, flag):  # type: ignore[no-untyped-def]
    """True if data[start:end] as a whole matches spaCy's URL pattern."""
    dots = False
    for i in range(start, end):
        if data[i] == 0x2E:
            dots = True
            break
    if not dots:
        return False
    i, chars = start, 0
    while i < end:
        flags, width = _flags(data, i, end, flag)
        if not (flags & WORD or data[i] == 0x2B or data[i] == 0x2D or data[i] == 0x2E):
            break
        i += width
        chars += 1
    scheme = -1  # where the address behind `scheme://` begins
    if chars >= 2 and i + 3 < end:
        if data[i] == 0x3A and data[i + 1] == 0x2F and data[i + 2] == 0x2F:
            scheme = i + 3
    for i in range(start, end):
        if i == start or i == scheme or (i > start + 1 and data[i - 1] == 0x40):
            if _host(data, i, end, flag) or _dotted_quad(data, i, end):
                return True
    return False


@njit(inline="always")
def _host(data, i, end, flag):  # type: ignore[no-untyped-def]
    """labels.tld with what may follow it."""
    labels = 0
    while True:
        label = i
        chars = 0
        first = last = False
        while i < end:
            flags, width = _flags(data, i, end, flag)
            edge = flags & URL_EDGE != 0
            if not (edge or data[i] == 0x5F or data[i] == 0x2D):
                break
            if chars == 0:
                first = edge
            last = edge
            chars += 1
            i += width
        if i < end and data[i] == 0x2E and first and last and chars <= MOST_LABEL:
            labels += 1
            i += 1
            continue
        i = label
        break
    chars = 0
    while i < end:
        flags, width = _flags(data, i, end, flag)
        if not flags & ALPHA_LOWER:
            break
        chars += 1
        i += width
    return labels > 0 and 2 <= chars <= MOST_TLD and _ending(data, i, end)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _ending(data, i, end):  # type: ignore[no-untyped-def]
    """Nothing, or a port of two to five digits, then nothing or a path."""
    if i < end and data[i] == 0x3A:
        digits = 0
        i += 1
        while i < end and 0x30 <= data[i] <= 0x39:
            digits += 1
            i += 1
        if not 2 <= digits <= 5:
            return False
    return i == end or data[i] == 0x2F or data[i] == 0x3F or data[i] == 0x23


@njit(inline="always")
def _dotted_quad(data, i, end):  # type: ignore[no-untyped-def]
    """A public IPv4 address with what may follow it."""
    address, parts = 0, 0
    while True:
        begin, value = i, 0
        while i < end and i - begin < 4 and 0x30 <= data[i] <= 0x39:
            value = 10 * value + data[i] - 0x30
            i += 1
        digits, ends = i - begin, parts == 0 or parts == 3
        if digits == 0 or digits > 3 or value > 255:
            return False
        if data[begin] == 0x30 and (ends or digits == 3):
            return False
        address = address << 8 | value
        parts += 1
        if parts == 4:
            break
        if i >= end or data[i] != 0x2E:
            return False
        i += 1
    first, second, last = address >> 24, address >> 16 & 255, address & 255
    if first > 223 or last > 254 or first == 10 or first == 127:
        return False
    if first == 172 and 16 <= second <= 31:
        return False
    if (first == 169 and second == 254) or (first == 192 and second == 168):
        return False
    return _ending(data, i, end)
