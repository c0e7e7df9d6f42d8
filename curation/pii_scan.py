"""Where personal data could stand: one pass over bytes that finds the few spans worth a regex.

In: text bytes and offsets. Out: candidate spans. Shown by: `- pii` in a recipe.
Limit: ASCII forms only; digits of other scripts and `name (at) host` are passed over.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from gristmill.text.simd import WIDTH, byte_mask, trailing_zeros

EMAIL, IPV4, IPV6, PHONE = range(4)
_ZERO8, _ONE8, _TEN8 = np.uint8(0), np.uint8(1), np.uint8(10)
_NOUGHT, _AT, _COLON = np.uint8(48), np.uint8(64), np.uint8(58)
_ONE64 = np.uint64(1)

# What a byte may be part of.
_LOCAL, _DOMAIN, _NUMBER, _HEX = 1, 2, 4, 8


def _classes() -> npt.NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    for byte in range(128):
        char = chr(byte)
        if char.isalnum():
            table[byte] |= _LOCAL | _DOMAIN
        if char in "._%+'-":
            table[byte] |= _LOCAL
        if char in ".-":
            table[byte] |= _DOMAIN
        if char.isdigit() or char in " ()+./-":
            table[byte] |= _NUMBER
        if char in "0123456789abcdefABCDEF:.":
            table[byte] |= _HEX
    return table


_CLASSES = _classes()


def candidates(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """int64[m, 4]: row, kind, begin, end of spans to look at, in the order of the text."""
    room = 1024
    while True:
        out = np.zeros((room, 4), np.int64)
        found = _scan(data, offsets, _CLASSES, out)
        if found <= room:
            return out[:found]
        room = found


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _scan(data, offsets, classes, out):  # type: ignore[no-untyped-def]
    found = 0
    for row in range(len(offsets) - 1):
        begin, end = offsets[row], offsets[row + 1]
        block = begin
        done = begin  # spans before this were looked at
        while block < end:
            if block + WIDTH <= len(data):
                mask = byte_mask(data, block, _ZERO8, _NOUGHT, _TEN8)
                mask |= byte_mask(data, block, _ZERO8, _AT, _ONE8)
                mask |= byte_mask(data, block, _ZERO8, _COLON, _ONE8)
                if end - block < WIDTH:
                    mask &= (_ONE64 << np.uint64(end - block)) - _ONE64
            else:
                mask = np.uint64(0)
                for k in range(end - block):
                    byte = data[block + k]
                    if 48 <= byte <= 58 or byte == 64:
                        mask |= _ONE64 << np.uint64(k)
            while mask != 0:
                at = block + np.int64(trailing_zeros(mask))
                mask &= mask - _ONE64
                if at < done:
                    continue
                kind, first, last = _look(data, at, begin, end, classes)
                done = max(done, last)
                if kind >= 0:
                    if found < len(out):
                        out[found, 0] = row
                        out[found, 1] = kind
                        out[found, 2] = first
                        out[found, 3] = last
                    found += 1
            block += WIDTH
    return found


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _look(data, at, begin, end, classes):  # type: ignore[no-untyped-def]
    """(kind or -1, begin, end) of the span around a digit, `@` or `:`."""
    byte = data[at]
    first, last = at, at + 1
    if byte == 64:
        while first > begin and at - first < 64 and classes[data[first - 1]] & 1:
            first -= 1
        dots = 0
        while last < end and last - at < 254 and classes[data[last]] & 2:
            dots += data[last] == 46
            last += 1
        return (EMAIL if first < at and dots else -1), first, last
    if byte == 58:
        while first > begin and at - first < 40 and classes[data[first - 1]] & 8:
            first -= 1
        colons, double = 0, False
        last = first
        while last < end and last - first < 48 and classes[data[last]] & 8:
            if data[last] == 58:
                colons += 1
                double |= last > first and data[last - 1] == 58
            last += 1
        whole = first == begin or classes[data[first - 1]] & 2 == 0
        whole &= last >= end or classes[data[last]] & 2 == 0
        long = last - first >= 4 and (double or colons == 7) and colons >= 2
        return (IPV6 if whole and long else -1), first, max(last, at + 1) if long else at + 1
    while first > begin and at - first < 2 and (data[first - 1] == 40 or data[first - 1] == 43):
        first -= 1
    digits, dots, others, gap = 0, 0, int(first < at), 0
    last = end_of_digits = at
    while last < end and last - at < 256 and classes[data[last]] & 4 and gap < 4:
        if 48 <= data[last] <= 57:
            digits += 1
            gap = 0
            end_of_digits = last + 1
        else:
            gap += 1
            dots += data[last] == 46
            others += 1
        last += 1
    last = end_of_digits
    if digits >= 8 and others > 0 and (first < at or data[at] == 48 or data[at] >= 49):
        return PHONE, first, last
    if dots >= 3 and digits >= 4:
        return IPV4, first, last
    if last < end and last - first <= 4 and (data[last] == 58 or classes[data[last]] & 8):
        return -1, first, at + 1  # perhaps an IPv6 address: its colon comes
    return -1, first, last
