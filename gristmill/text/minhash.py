"""MinHash signatures of texts: 32-bit affine permutations of word shingles, in one vector pass.

In: a text array. Out: signatures uint32 [n, num_perm], a 128-bit digest and a count of the
shingles.
Shown by: `python -m gristmill.text.minhash "one text" "another text"`.
Limit: two signatures compare only when made with the same num_perm, seed, ngram and Unicode tables.

Bit for bit those of `datasketch.MinHash(num_perm, seed, scheme="affine32", hashfunc=shingle_hash)`:
the shingle's hash goes once through MurmurHash3's 32-bit finaliser, then value k is the minimum of
a_k h + b_k mod 2^32 with odd a_k (https://github.com/ekzhu/datasketch/issues/212).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from gristmill.text.buffers import string_buffers
from gristmill.text.shingles import BLOCK, DEFAULT_NGRAM, hash_shingles
from gristmill.text.unicode import tables
from gristmill.text.words import finish, words_block

DEFAULT_PERM = 112  # FineWeb's 14 bands of 8 rows
_EMPTY = np.uint32(0xFFFFFFFF)
_M1, _M2 = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)
_S13, _S16 = np.uint32(13), np.uint32(16)
_BAND = np.uint64(0x9E3779B97F4A7C15)
_SECOND = np.uint64(0xD6E8FEB86659FD93)  # any odd constant: makes the digest's second half differ
_LOW = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Sketches:
    """What MinHash needs to know of n texts."""

    signatures: npt.NDArray[np.uint32]  # [n, num_perm]; all ones for a text without words
    digests: npt.NDArray[np.uint64]  # [n, 2]: equal for texts of the same shingles, as often
    counts: npt.NDArray[np.int64]  # [n] shingles, repeats included


@cache
def permutations(num_perm: int, seed: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Odd multipliers and addends, drawn as datasketch 2.0 draws them for `affine32`."""
    random = np.random.RandomState(seed)
    a = random.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    b = random.randint(0, 1 << 32, num_perm, dtype=np.uint32)
    return a, b


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _permute(hashes, count, a, b, out):  # type: ignore[no-untyped-def]
    """out[k] = min(out[k], min over i of a[k] hashes[i] + b[k]); count is a multiple of 8.

    Eight shingles to a pass over the permutations: the loop over k becomes vector multiply, add,
    minimum (512 bits wide where the machine has them), and each minimum is stored once in eight.
    """
    for i in range(0, count, 8):
        h0, h1, h2, h3 = hashes[i], hashes[i + 1], hashes[i + 2], hashes[i + 3]
        h4, h5, h6, h7 = hashes[i + 4], hashes[i + 5], hashes[i + 6], hashes[i + 7]
        for k in range(len(a)):
            x, y, low = a[k], b[k], out[k]
            low = min(low, np.uint32(x * h0 + y))
            low = min(low, np.uint32(x * h1 + y))
            low = min(low, np.uint32(x * h2 + y))
            low = min(low, np.uint32(x * h3 + y))
            low = min(low, np.uint32(x * h4 + y))
            low = min(low, np.uint32(x * h5 + y))
            low = min(low, np.uint32(x * h6 + y))
            low = min(low, np.uint32(x * h7 + y))
            out[k] = low


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _absorb(shingles, count, hashes, a, b, out, digest):  # type: ignore[no-untyped-def]
    """Add `count` >= 1 shingle hashes to one text's signature and digest."""
    first, second = np.uint64(0), np.uint64(0)
    for i in range(count):
        value = shingles[i]
        first += value
        second += finish(value ^ _SECOND)
        h = np.uint32(value & _LOW)
        h = np.uint32((h ^ (h >> _S16)) * _M1)
        h = np.uint32((h ^ (h >> _S13)) * _M2)
        hashes[i] = h ^ (h >> _S16)
    digest[0] += first
    digest[1] += second
    padded = (count + 7) // 8 * 8
    for i in range(count, padded):  # a repeat changes no minimum
        hashes[i] = hashes[count - 1]
    _permute(hashes, padded, a, b, out)


@njit(cache=True, nogil=True, boundscheck=False)
def _sketch(data, offsets, table, ngram, a, b, signatures, digests, counts):  # type: ignore[no-untyped-def]
    words = np.empty(BLOCK + ngram, np.uint64)
    shingles = np.empty(BLOCK + ngram, np.uint64)
    hashes = np.empty(BLOCK + ngram + 8, np.uint32)
    for doc in range(len(offsets) - 1):
        pos, end = offsets[doc], offsets[doc + 1]
        out, digest = signatures[doc], digests[doc]
        held, total = 0, 0
        while pos < end:
            found, pos = words_block(data, pos, end, table, words[held : held + BLOCK])
            held += found
            if held >= ngram:
                made = hash_shingles(words, held, ngram, shingles)
                _absorb(shingles, made, hashes, a, b, out, digest)
                total += made
                for i in range(ngram - 1):
                    words[i] = words[held - ngram + 1 + i]
                held = ngram - 1
        if total == 0 and held > 0:
            total = hash_shingles(words, held, ngram, shingles)
            _absorb(shingles, total, hashes, a, b, out, digest)
        counts[doc] = total


def sketch(
    array: pa.Array | pa.ChunkedArray,
    num_perm: int = DEFAULT_PERM,
    seed: int = 1,
    ngram: int = DEFAULT_NGRAM,
) -> Sketches:
    """Signatures, digests and shingle counts of a text array, in one pass over its bytes.

    Equal digests mean equal shingles as often repeated, so Jaccard 1 (but for a chance of 2^-128).
    """
    data, offsets = string_buffers(array)
    rows = len(offsets) - 1
    a, b = permutations(num_perm, seed)
    signatures = np.full((rows, num_perm), _EMPTY, np.uint32)
    digests = np.zeros((rows, 2), np.uint64)
    counts = np.empty(rows, np.int64)
    _sketch(data, offsets, tables(), ngram, a, b, signatures, digests, counts)
    return Sketches(signatures, digests, counts)


def minhash_signatures(
    array: pa.Array | pa.ChunkedArray,
    num_perm: int = DEFAULT_PERM,
    seed: int = 1,
    ngram: int = DEFAULT_NGRAM,
) -> npt.NDArray[np.uint32]:
    """Signatures uint32 [n, num_perm] of a text array."""
    return sketch(array, num_perm, seed, ngram).signatures


@njit(cache=True, nogil=True, boundscheck=False)
def _band_keys(signatures, bands, rows, keys):  # type: ignore[no-untyped-def]
    for doc in range(len(signatures)):
        for band in range(bands):
            key = np.uint64(band + 1) * _BAND
            for row in range(rows):
                key = finish(key ^ np.uint64(signatures[doc, band * rows + row])) + _BAND
            keys[doc, band] = key


def band_keys(signatures: npt.NDArray[np.uint32], bands: int, rows: int) -> npt.NDArray[np.uint64]:
    """One 64-bit hash for each band of each signature: uint64 [n, bands]."""
    keys = np.empty((len(signatures), bands), np.uint64)
    _band_keys(signatures, bands, rows, keys)
    return keys


def match_probability(similarity: float, bands: int, rows: int) -> float:
    """The chance that two texts of this Jaccard similarity share a band: 1 - (1 - s^r)^b."""
    return float(1 - (1 - similarity**rows) ** bands)


if __name__ == "__main__":
    made = minhash_signatures(pa.array(sys.argv[1:]))
    for other in made[1:]:
        print(f"estimated Jaccard with the first text: {(made[0] == other).mean():.3f}")
