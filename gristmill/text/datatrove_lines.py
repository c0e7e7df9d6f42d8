"""Lines and paragraphs as datatrove's filters see them.

In: the bytes of one document. Out: counts, and hashes and lengths of its lines or paragraphs.
Shown by: `python -m gristmill.text.signals "One line." `.
Limit: two lines are equal when their 64-bit hashes are.

datatrove splits four ways: at str.splitlines (Gopher quality), at runs of line feeds (repetition),
at two line feeds and more (paragraphs of the stripped text), at every line feed (FineWeb).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from gristmill.text.english import LINE_BREAK, SPACE, TERMINAL
from gristmill.text.simd import byte_mask, low_bits, popcount, trailing_zeros
from gristmill.text.spacy_affixes import ELLIPSIS, char_at, char_before

SHORT_LINE = 30  # characters; FineWeb
BULLET = 0x2022

# counts of `scan_bytes`
CHARS, FEEDS, HASHES, ELLIPSES, OTHER_BREAKS, BLANK_FEEDS = range(6)

_ZERO, _ONE = np.uint64(0), np.uint64(1)


def tail_of(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The last 64 bytes (all, if fewer) and 64 zeros: what is read where a block passes the end."""
    tail = np.zeros(min(len(data), 64) + 64, np.uint8)
    tail[: len(tail) - 64] = data[len(data) - (len(tail) - 64) :]
    tail.flags.writeable = False  # as Arrow's buffers are: one type, compiled once
    return tail


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def scan_bytes(data, tail, start, end, counts):  # type: ignore[no-untyped-def]
    """Fill counts: code points, line feeds, "#", ellipses ("..." and "…"), breaks of splitlines
    other than line feeds, line feeds that follow one. `tail`: `tail_of(data)`."""
    size, shift = len(data), len(data) - (len(tail) - 64)
    for k in range(6):
        counts[k] = 0
    dots_until = np.int64(0)
    feed_before = _ZERO
    for p in range(start, end, 64):
        inside = low_bits(end - p)
        source, i = data, p
        if p + 64 > size:
            source, i = tail, p - shift
        feeds = byte_mask(source, i, 0, 0x0A, 1) & inside
        counts[CHARS] += popcount(inside & ~byte_mask(source, i, 0, 0x80, 0x40))
        counts[FEEDS] += popcount(feeds)
        counts[BLANK_FEEDS] += popcount(feeds & (feeds << _ONE | feed_before))
        feed_before = feeds >> np.uint64(63)
        counts[HASHES] += popcount(byte_mask(source, i, 0, 0x23, 1) & inside)
        breaks = byte_mask(source, i, 0, 0x0B, 3) | byte_mask(source, i, 0, 0x1C, 3)
        counts[OTHER_BREAKS] += popcount(breaks & inside)
        dots = byte_mask(source, i, 0, 0x2E, 1) & inside
        dots &= ~(dots << _ONE) & (dots >> _ONE | _ONE << np.uint64(63))  # where two or more begin
        while dots != _ZERO:
            j = p + trailing_zeros(dots)
            dots &= dots - _ONE
            if j >= dots_until:
                run = j
                while j < end and data[j] == 0x2E:
                    j += 1
                counts[ELLIPSES] += (j - run) // 3
                dots_until = j
        lead = byte_mask(source, i, 0, 0xE2, 1) | byte_mask(source, i, 0, 0xC2, 1)
        lead &= inside
        while lead != _ZERO:
            j = p + trailing_zeros(lead)
            lead &= lead - _ONE
            if j + 2 < end and data[j] == 0xE2 and data[j + 1] == 0x80:
                counts[ELLIPSES] += data[j + 2] == 0xA6
                counts[OTHER_BREAKS] += 0xA8 <= data[j + 2] <= 0xA9
            elif j + 1 < end and data[j] == 0xC2:
                counts[OTHER_BREAKS] += data[j + 1] == 0x85


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def count_chars(data, tail, start, end):  # type: ignore[no-untyped-def]
    """Code points of data[start:end]."""
    size, shift = len(data), len(data) - (len(tail) - 64)
    chars = np.int64(0)
    for p in range(start, end, 64):
        source, i = data, p
        if p + 64 > size:
            source, i = tail, p - shift
        chars += popcount(~byte_mask(source, i, 0, 0x80, 0x40) & low_bits(end - p))
    return chars


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def next_feed(data, tail, i, end):  # type: ignore[no-untyped-def]
    """Where the first line feed at or after i is; `end` if there is none."""
    size, shift = len(data), len(data) - (len(tail) - 64)
    for p in range(i, end, 64):
        source, k = data, p
        if p + 64 > size:
            source, k = tail, p - shift
        feeds = byte_mask(source, k, 0, 0x0A, 1)
        if feeds != _ZERO:
            return min(p + trailing_zeros(feeds), end)
    return end


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def strip_left(data, start, end, flag):  # type: ignore[no-untyped-def]
    """The first byte that is not white space (str.isspace); `end` if all is."""
    while start < end:
        _, width, flags = char_at(data, start, end, flag)
        if not flags & SPACE:
            break
        start += width
    return min(start, end)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def strip_right(data, start, end, flag):  # type: ignore[no-untyped-def]
    """One past the last byte that is not white space; `start` if all is."""
    while end > start:
        _, width, flags = char_before(data, start, end, flag)
        if not flags & SPACE:
            break
        end -= width
    return end


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def line_marks(data, start, end, flag):  # type: ignore[no-untyped-def]
    """(starts with a bullet, ends with an ellipsis) of one line, white space aside."""
    first = strip_left(data, start, end, flag)
    if first == end:
        return False, False
    cp, _, _ = char_at(data, first, end, flag)
    last = strip_right(data, first, end, flag)
    closing, _, _ = char_before(data, first, last, flag)
    dots = closing == 0x2E and last - first >= 3
    dots = dots and data[last - 2] == 0x2E and data[last - 3] == 0x2E
    return cp == BULLET or cp == 0x2D, dots or closing == ELLIPSIS


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def next_break(data, i, end, flag):  # type: ignore[no-untyped-def]
    """(where the line that starts at i ends, where the next starts) as str.splitlines has it."""
    while i < end:
        cp, width, flags = char_at(data, i, end, flag)
        if flags & LINE_BREAK:
            if cp == 0x0D and i + 1 < end and data[i + 1] == 0x0A:
                width = 2
            return i, i + width
        i += width
    return end, end


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def is_terminal(data, start, end, flag):  # type: ignore[no-untyped-def]
    """Is the last character one of datatrove's terminal marks?"""
    _, _, flags = char_before(data, start, end, flag)
    return flags & TERMINAL != 0
