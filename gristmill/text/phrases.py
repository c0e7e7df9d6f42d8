"""Does a text hold one of C4's phrases, in any case?

In: bytes [start, end). Out: bits: JAVASCRIPT, LOREM_IPSUM, POLICY.
Shown by: `python -m gristmill.text.phrases "We use Cookies; enable JavaScript."`.
Limit: any case means str.lower: K as the Kelvin sign counts, other look-alikes do not.

The phrases: TensorFlow Datasets, text/c4_utils.py (Apache-2.0); datatrove and dolma have the same.
"""

from __future__ import annotations

import sys

import numpy as np
from numba import njit

from gristmill.text.datatrove_lines import tail_of
from gristmill.text.simd import byte_mask, low_bits, trailing_zeros

JAVASCRIPT, LOREM_IPSUM, POLICY = 1, 2, 4
POLICY_PHRASES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
_PHRASES = tuple(
    (np.frombuffer(phrase.encode(), np.uint8), bit)
    for phrase, bit in (
        ("javascript", JAVASCRIPT),
        ("lorem ipsum", LOREM_IPSUM),
        *((phrase, POLICY) for phrase in POLICY_PHRASES),
    )
)
_JAVASCRIPT, _LOREM, _TERMS, _PRIVACY, _COOKIE, _USES, _USE_OF, _USE = (p for p, _ in _PHRASES)
_ZERO, _ONE = np.uint64(0), np.uint64(1)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _is_at(data, i, end, phrase):  # type: ignore[no-untyped-def]
    """Is the phrase (lower case, ASCII) at i?"""
    for k in range(len(phrase)):
        if i >= end:
            return False
        byte = data[i]
        if 0x41 <= byte <= 0x5A:
            byte |= 0x20
        if byte != phrase[k]:
            # the Kelvin sign, E2 84 AA, is a capital k
            if phrase[k] != 0x6B or i + 2 >= end or byte != 0xE2:
                return False
            if data[i + 1] != 0x84 or data[i + 2] != 0xAA:
                return False
            i += 2
        i += 1
    return True


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def phrases(data, tail, start, end):  # type: ignore[no-untyped-def]
    """Bits of the phrases in data[start:end]. `tail`: `tail_of(data)`."""
    size, shift = len(data), len(data) - (len(tail) - 64)
    found = 0
    for p in range(start, end, 64):
        source, i = data, p
        if p + 65 > size:
            source, i = tail, p - shift
        first = byte_mask(source, i, 0x20, 0x6C, 1) | byte_mask(source, i, 0x20, 0x63, 1)
        places = first & byte_mask(source, i + 1, 0x20, 0x6F, 1)  # lo, co
        places |= byte_mask(source, i, 0x20, 0x74, 1) & byte_mask(source, i + 1, 0x20, 0x65, 1)
        places |= byte_mask(source, i, 0x20, 0x70, 1) & byte_mask(source, i + 1, 0x20, 0x72, 1)
        places |= byte_mask(source, i, 0x20, 0x75, 1) & byte_mask(source, i + 1, 0x20, 0x73, 1)
        places |= byte_mask(source, i, 0x20, 0x6A, 1)
        places &= low_bits(end - p)
        while places != _ZERO:
            j = p + trailing_zeros(places)
            places &= places - _ONE
            letter = data[j] | 0x20
            if letter == 0x6A:
                found |= JAVASCRIPT * _is_at(data, j, end, _JAVASCRIPT)
            elif letter == 0x6C:
                found |= LOREM_IPSUM * _is_at(data, j, end, _LOREM)
            elif letter == 0x74:
                found |= POLICY * _is_at(data, j, end, _TERMS)
            elif letter == 0x70:
                found |= POLICY * _is_at(data, j, end, _PRIVACY)
            elif letter == 0x63:
                found |= POLICY * _is_at(data, j, end, _COOKIE)
            elif (
                _is_at(data, j, end, _USE)
                or _is_at(data, j, end, _USES)
                or _is_at(data, j, end, _USE_OF)
            ):
                found |= POLICY
    return found


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def has_byte(data, tail, start, end, byte):  # type: ignore[no-untyped-def]
    """Is the byte (uint8) in data[start:end]?"""
    size, shift = len(data), len(data) - (len(tail) - 64)
    for p in range(start, end, 64):
        source, i = data, p
        if p + 64 > size:
            source, i = tail, p - shift
        if byte_mask(source, i, 0, byte, 1) & low_bits(end - p) != _ZERO:
            return True
    return False


if __name__ == "__main__":
    raw = np.frombuffer(" ".join(sys.argv[1:]).encode() or b" ", np.uint8)
    bits = phrases(raw, tail_of(raw), 0, len(raw))
    for name in ("JAVASCRIPT", "LOREM_IPSUM", "POLICY"):
        print(name.lower(), bool(bits & globals()[name]))
