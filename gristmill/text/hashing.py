"""64-bit hashes of words and of n-grams of words, the same in kernels and in plain Python.

In: bytes of a word; hashes of the words of an n-gram. Out: uint64.
Shown by: `python -m gristmill.text.hashing mill grain`.
Limit: not keyed: whoever wants two words of one hash can find them.

An n-gram's hash is polynomial: h = 0; for each word: h = combine(h, word hash). So the hash of an
(n+1)-gram is combine(n-gram, next word), and a window rolls: combine(h - first * power(n-1), next).
Pass the result through `finish` before its bits are used as bucket numbers.
"""

from __future__ import annotations

import sys

import numpy as np
from numba import njit

from gristmill.text.simd import load64, low_bits

_M64 = (1 << 64) - 1
# odd multipliers without pattern: 64-bit primes of xxHash and the golden ratio
SEED = 0x27D4EB2F165667C5
K1, K2, K3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P = 0x9E3779B97F4A7C15
_SEED, _K1, _K2, _K3, _P = (np.uint64(k) for k in (SEED, K1, K2, K3, P))
_S32, _S29 = np.uint64(32), np.uint64(29)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
# masks of the bytes of a word of `width` <= 16: of its first eight bytes, and of its next eight
FIRST = np.array([(1 << 8 * min(width, 8)) - 1 for width in range(17)], np.uint64)
NEXT = np.array([(1 << 8 * max(width - 8, 0)) - 1 for width in range(17)], np.uint64)


def word_hash(word: bytes) -> int:
    """The 64-bit hash of a word's bytes: 16 bytes a round, two independent multiplications."""
    h = SEED
    for i in range(0, len(word), 16):
        low = int.from_bytes(word[i : i + 8], "little")
        high = int.from_bytes(word[i + 8 : i + 16], "little")
        h = ((h ^ low) * K1) & _M64
        h = ((h ^ (h >> 32)) + high * K2) & _M64
    h = ((h ^ len(word)) * K3) & _M64
    return h ^ (h >> 29)


@njit(inline="always")
def hash_round(h, low, high):  # type: ignore[no-untyped-def]
    """Take 16 more bytes (two little-endian words, zero-padded) into a word's hash."""
    h = (h ^ low) * _K1
    return (h ^ (h >> _S32)) + high * _K2


@njit(inline="always")
def hash_end(h, length):  # type: ignore[no-untyped-def]
    """Finish a word's hash; `length` in bytes (uint64)."""
    h = (h ^ length) * _K3
    return h ^ (h >> _S29)


@njit(inline="always")
def combine(h, word):  # type: ignore[no-untyped-def]
    """The hash of an n-gram (uint64) extended by one word hash; 0 is the empty n-gram."""
    return h * _P + word


@njit(inline="always")
def finish(h):  # type: ignore[no-untyped-def]
    """Spread an n-gram hash over all 64 bits, one to one."""
    h = (h ^ (h >> _S32)) * _K1
    return h ^ (h >> _S29)


@njit(inline="always")
def power(n):  # type: ignore[no-untyped-def]
    """The weight (uint64) of a word that n words follow in an n-gram."""
    weight = _ONE
    for _ in range(n):
        weight *= _P
    return weight


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def load_safe(data, i, end):  # type: ignore[no-untyped-def]
    """Up to 8 bytes from i on, none at or past `end`."""
    value = _ZERO
    for k in range(min(8, end - i)):
        value |= np.uint64(data[i + k]) << np.uint64(8 * k)
    return value


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def hash_bytes(data, start, end):  # type: ignore[no-untyped-def]
    """`word_hash` of data[start:end] as it stands: for tokens of other tokenisers."""
    h = _SEED
    i = start
    while i < end:
        if i + 16 <= len(data):
            low, high = load64(data, i), load64(data, i + 8)
            left = end - i
            if left < 16:
                low &= low_bits(8 * left)
                high &= low_bits(8 * left - 64)
        else:
            low, high = load_safe(data, i, end), load_safe(data, i + 8, end)
        h = hash_round(h, low, high)
        i += 16
    return hash_end(h, np.uint64(end - start))


if __name__ == "__main__":
    for word in sys.argv[1:]:
        print(f"{word_hash(word.encode()):016x} {word}")
