"""How costly a page's markup could be to parse, told from its bytes before any parser sees it.

In: bodies as bytes and offsets. Out: per page, upper bounds of what makes HTML trees blow up.
Shown by: `python -m pytest tests/curation/test_html_shape.py`. Limit: bounds, not a parse: a page
that passes is safe, a page over a bound is looked at more closely or refused.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gristmill.text.simd import WIDTH, byte_mask, trailing_zeros

# Columns of html_shape()'s result.
TAGS, OPEN, SQUARES, REBUILT = range(4)
_NONE, _ONE, _LESS, _MORE = np.uint8(0), np.uint8(1), np.uint8(60), np.uint8(62)
_NAMES, _KINDS = 256, 4096  # buckets of element names, and of formatting tags with their attributes


def _hash(name: bytes) -> int:
    value = 0
    for byte in name:
        value = (value * 31 + byte) & 0xFFFFFFFF
    return value


_VOID = np.array(
    sorted(
        _hash(name)
        for name in b"area base br col embed hr img input link meta param source track wbr".split()
    ),
    np.int64,
)
# Reopened by the parser after a block closes over them (HTML standard, 13.2.4.3).
_FORMATTING = np.array(
    [_hash(name) for name in b"a nobr b big code em font i s small strike strong tt u".split()],
    np.int64,
)
_RAW = np.array(
    sorted(_hash(name) for name in b"script style textarea title xmp iframe noframes".split()),
    np.int64,
)


def html_shape(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """int64[n, 4]: start tags, elements open at once, squared attributes, rebuilt elements.

    data: uint8, offsets: int64[n + 1]. `open` counts a name's start tags less its end tags, so it
    is never below the true depth. `rebuilt` bounds the copies of unclosed formatting elements
    that the standard's algorithm makes at every tag: three of each kind at most, one of `a` and
    `nobr`.
    """
    shape = np.zeros((len(offsets) - 1, 4), np.int64)
    scratch = np.zeros((3, _NAMES), np.int64)
    seen = np.zeros(_KINDS, np.uint8)
    _scan(data, offsets, _VOID, _FORMATTING, _RAW, scratch, seen, shape)
    return shape


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _scan(data, offsets, void, formatting, raw, scratch, seen, shape):  # type: ignore[no-untyped-def]
    opened, kinds, pending = scratch[0], scratch[1], scratch[2]
    for row in range(len(offsets) - 1):
        at, end = offsets[row], offsets[row + 1]
        scratch[:] = 0
        seen[:] = 0
        tags = depth = deepest = squares = rebuilt = waiting = 0
        while at < end:
            at = _find(data, at, end, _LESS) + 1
            closing = at < end and data[at] == 47
            if closing:
                at += 1
            if at >= end:
                break
            letter = data[at] | 32
            if letter < 97 or letter > 122:
                if not closing and data[at] == 33:  # <!
                    at = _after_comment(data, at, end)
                continue
            name = 0
            while at < end and data[at] > 32 and data[at] != 62 and data[at] != 47:
                byte = data[at] | 32 if 65 <= data[at] <= 90 else data[at]
                name = (name * 31 + byte) & 0xFFFFFFFF
                at += 1
            tag = at
            count, at = _attributes(data, at, end)
            squares += count * count
            rebuilt += waiting
            bucket = name & (_NAMES - 1)
            reopens = _among(formatting, name)
            if closing:
                if opened[bucket] > 0:
                    opened[bucket] -= 1
                    depth -= 1
            else:
                tags += 1
                if _among(void, name):
                    continue
                if _among(raw, name):
                    at = _after_raw(data, at, end)
                    continue
                opened[bucket] += 1
                depth += 1
                deepest = max(deepest, depth)
                if reopens:
                    kind = _kind(data, tag, at)
                    if seen[kind] == 0:
                        seen[kind] = 1
                        kinds[bucket] += 1
            if reopens:
                alone = name == formatting[0] or name == formatting[1]
                most = 1 if alone else 3 * kinds[bucket]
                waiting -= pending[bucket]
                pending[bucket] = min(opened[bucket], most)
                waiting += pending[bucket]
        shape[row, TAGS] = tags
        shape[row, OPEN] = deepest
        shape[row, SQUARES] = squares
        shape[row, REBUILT] = rebuilt


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _among(names, name):  # type: ignore[no-untyped-def]
    for i in range(len(names)):
        if names[i] == name:
            return True
    return False


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _attributes(data, at, end):  # type: ignore[no-untyped-def]
    """(attributes or a few more, position after the tag's `>`)."""
    count = 0
    while at < end:
        byte = data[at]
        at += 1
        if byte == 62:  # >
            break
        if byte <= 32 or byte == 47:  # between attributes
            continue
        count += 1
        while at < end and data[at] > 32 and data[at] != 61 and data[at] != 62 and data[at] != 47:
            at += 1
        if at >= end or data[at] != 61:
            continue
        at += 1
        while at < end and data[at] <= 32:
            at += 1
        if at < end and (data[at] == 34 or data[at] == 39):
            at = _find(data, at + 1, end, data[at]) + 1
        else:
            while at < end and data[at] > 32 and data[at] != 62:
                at += 1
    return count, min(at, end)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _kind(data, at, end):  # type: ignore[no-untyped-def]
    """Hash of a formatting tag with its attributes."""
    kind = 0
    for i in range(at, end):
        kind = (kind * 33 + data[i]) & 0xFFFFFFFF
    return kind & (_KINDS - 1)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _after_comment(data, at, end):  # type: ignore[no-untyped-def]
    """Position after `-->` of a comment, or after the `>` of another declaration."""
    comment = at + 2 < end and data[at + 1] == 45 and data[at + 2] == 45
    at += 3 if comment else 1
    while at < end:
        at = _find(data, at, end, _MORE) + 1
        if not comment or (data[at - 2] == 45 and data[at - 3] == 45):
            break
    return min(at, end)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _after_raw(data, at, end):  # type: ignore[no-untyped-def]
    """Position of the next `</` followed by a letter: scripts hold no elements."""
    while at + 2 < end:
        at = _find(data, at, end, _LESS)
        if at + 2 < end and data[at + 1] == 47 and 97 <= (data[at + 2] | 32) <= 122:
            return at
        at += 1
    return end


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _find(data, at, end, byte):  # type: ignore[no-untyped-def]
    """Position of the next `byte`, or `end`."""
    while at + WIDTH <= end:
        mask = byte_mask(data, at, _NONE, byte, _ONE)
        if mask != 0:
            return at + np.int64(trailing_zeros(mask))
        at += WIDTH
    while at < end and data[at] != byte:
        at += 1
    return at
