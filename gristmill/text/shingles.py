"""Word shingles: the overlapping n-word windows of a text, as hashes and as exact sets.

In: word hashes (gristmill.text.words), or a text array. Out: 64-bit shingle hashes; sorted unique
sets.
Shown by: `python -m gristmill.text.shingles "the quick brown fox jumps over the lazy dog"`.
Limit: hashes are unkeyed, so a text can be built to collide; that costs a false pair, which nobody
gains from.

A shingle is n words joined by one space. Its 64-bit hash combines the hashes of its words, so a
kernel never touches the bytes twice: finish(w0 P^(n-1) + w1 P^(n-2) + … + w(n-1)) mod 2^64, as
words.py has it. A text of fewer than n words has one shingle, all its words, so that short copies
are found too; an empty text has none.
"""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from gristmill.text.buffers import string_buffers
from gristmill.text.unicode import tables
from gristmill.text.words import K1, P, combine, finish, normalized_words, word_hash, words_block

DEFAULT_NGRAM = 5
_M64 = (1 << 64) - 1
BLOCK = (
    1024  # words walked at once: word and shingle buffers together stay in the first-level cache
)


def shingle_hash64(shingle: bytes) -> int:
    """The 64-bit hash of a shingle: normalised words (UTF-8) joined by one space."""
    total = 0
    for word in shingle.split(b" "):
        total = (total * P + word_hash(word)) & _M64
    total = ((total ^ (total >> 32)) * K1) & _M64
    return total ^ (total >> 29)


def shingle_hash(shingle: bytes) -> int:
    """The low 32 bits of `shingle_hash64`: hand it to datasketch as `hashfunc`.

    `datasketch.MinHash(num_perm, seed, scheme="affine32", hashfunc=shingle_hash)`, updated with the
    shingles of `shingles(text)`, equals a row of `minhash_signatures` bit for bit.
    """
    return shingle_hash64(shingle) & 0xFFFFFFFF


def shingles(text: str, ngram: int = DEFAULT_NGRAM) -> list[bytes]:
    """The shingles of a text in order, repeats included: the plain reference of the kernels."""
    words = [word.encode("utf-8", "surrogatepass") for word in normalized_words(text)]
    if not words:
        return []
    count = max(len(words) - ngram + 1, 1)
    return [b" ".join(words[i : i + ngram]) for i in range(count)]


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def hash_shingles(words, count, ngram, out):  # type: ignore[no-untyped-def]
    """Shingle hashes of `count` >= 1 words into `out`; returns how many there are."""
    width = min(ngram, count)
    found = count - width + 1
    for i in range(found):
        out[i] = words[i]
    for j in range(1, width):  # one pass a word of the shingle: each pass is a vector loop
        for i in range(found):
            out[i] = combine(out[i], words[i + j])
    for i in range(found):
        out[i] = finish(out[i])
    return found


@njit(cache=True, nogil=True, boundscheck=False)
def _sort_unique(values, count, scratch, starts):  # type: ignore[no-untyped-def]
    """Sort values[:count] and drop repeats in place; returns how many are left.

    Hashes are uniform, so a counting pass over their top bits puts each within a few places of
    where it belongs, and one insertion pass ends it: expected O(count), repeats cost nothing.
    """
    if count < 2:
        return count
    bits = 1
    while (1 << bits) < count and bits < 20:
        bits += 1
    shift = np.uint64(64 - bits)
    size = 1 << bits
    for i in range(size + 1):
        starts[i] = 0
    for i in range(count):
        starts[np.int64(values[i] >> shift) + 1] += 1
    for i in range(size):
        starts[i + 1] += starts[i]
    for i in range(count):
        bucket = np.int64(values[i] >> shift)
        scratch[starts[bucket]] = values[i]
        starts[bucket] += 1
    for i in range(1, count):
        value = scratch[i]
        j = i
        while j > 0 and scratch[j - 1] > value:
            scratch[j] = scratch[j - 1]
            j -= 1
        scratch[j] = value
    kept = 0
    for i in range(count):
        if i == 0 or scratch[i] != scratch[i - 1]:
            values[kept] = scratch[i]
            kept += 1
    return kept


@njit(cache=True, nogil=True, boundscheck=False)
def _fill_sets(data, offsets, table, ngram, values, bounds):  # type: ignore[no-untyped-def]
    """Sorted unique shingle hashes of every text, one after another; bounds[n+1] cut them."""
    words = np.empty(BLOCK + ngram, np.uint64)
    scratch = np.empty(0, np.uint64)
    starts = np.empty(0, np.int64)
    at = 0
    bounds[0] = 0
    for doc in range(len(offsets) - 1):
        pos, end = offsets[doc], offsets[doc + 1]
        first, held = at, 0
        while pos < end:
            found, pos = words_block(data, pos, end, table, words[held : held + BLOCK])
            held += found
            if held >= ngram:
                at += hash_shingles(words, held, ngram, values[at:])
                for i in range(ngram - 1):
                    words[i] = words[held - ngram + 1 + i]
                held = ngram - 1
        if at == first and held > 0:
            at += hash_shingles(words, held, ngram, values[at:])
        count = at - first
        if count > len(scratch):
            scratch = np.empty(max(count, min(2 * count, 1 << 20)), np.uint64)
            starts = np.empty((1 << 20) + 1 if count > 1 << 19 else 4 * count + 2, np.int64)
        at = first + _sort_unique(values[first:], count, scratch, starts)
        bounds[doc + 1] = at


def shingle_sets(
    array: pa.Array | pa.ChunkedArray, ngram: int = DEFAULT_NGRAM
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Unique 64-bit shingle hashes of each text: (values, bounds[n+1]).

    The set of text i is `values[bounds[i]:bounds[i + 1]]`, sorted; empty for a text without words.
    """
    data, offsets = string_buffers(array)
    # no word is shorter than a byte and a separator, or three bytes without one
    most = int(offsets[-1] - offsets[0]) // 2 + len(offsets)
    values = np.empty(most, np.uint64)
    bounds = np.empty(len(offsets), np.int64)
    _fill_sets(data, offsets, tables(), ngram, values, bounds)
    return values[: bounds[-1]].copy(), bounds


if __name__ == "__main__":
    for shingle in shingles(" ".join(sys.argv[1:])):
        print(f"{shingle_hash64(shingle):016x} {shingle.decode()}")
