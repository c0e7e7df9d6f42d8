"""Longest common subsequence of the words of two texts, for ROUGE-L.

In: texts, or the word hashes of two. Out: how many words they share in order; ROUGE-L's F-measure.
Shown by: `python -m gristmill.text.lcs "the mill ground rye" "the mill then ground barley"`.
Limit: time grows with the product of both lengths, 64 words at once: 10 ms for 10,000 words each.

Bit-parallel (Hyyrö 2004): one addition and three logical operations for 64 words of the one text
and a word of the other. Words are gristmill.text.words', compared by their 64-bit hashes.
"""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from gristmill.text.buffers import string_buffers
from gristmill.text.unicode import tables
from gristmill.text.words import words_block

U64 = npt.NDArray[np.uint64]
_BLOCK = 1024
_ONES, _ONE, _ZERO = np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(1), np.uint64(0)


def word_hashes(texts: pa.Array | pa.ChunkedArray) -> list[U64]:
    """The hashes of each text's words, in order, repeats included."""
    data, offsets = string_buffers(texts)
    # no word is shorter than a byte and a separator, or three bytes without one
    out = np.empty(int(offsets[-1] - offsets[0]) // 2 + len(offsets) + _BLOCK, np.uint64)
    bounds = np.zeros(len(offsets), np.int64)
    _hash_words(data, offsets, tables(), out, bounds)
    return [out[a:b].copy() for a, b in pairwise(bounds)]


def common_subsequence(first: U64, second: U64) -> int:
    """Length of the longest common subsequence of two sequences of hashes."""
    if len(first) > len(second):
        first, second = second, first
    order = np.argsort(first, kind="stable")
    return int(_length(first[order], order.astype(np.int64), second))


def rouge_l(first: U64, second: U64) -> float:
    """ROUGE-L with beta 1 (Lin 2004, section 3): 2 LCS / (words of both); 0 where one is empty."""
    if not len(first) or not len(second):
        return 0.0
    return 2 * common_subsequence(first, second) / (len(first) + len(second))


@njit(cache=True, nogil=True, boundscheck=False)
def _hash_words(data, offsets, table, out, bounds):  # type: ignore[no-untyped-def]
    at = 0
    for doc in range(len(offsets) - 1):
        pos, end = offsets[doc], offsets[doc + 1]
        while pos < end:
            found, pos = words_block(data, pos, end, table, out[at : at + _BLOCK])
            at += found
        bounds[doc + 1] = at


@njit(cache=True, nogil=True, boundscheck=False)
def _length(sorted_words, places, other):  # type: ignore[no-untyped-def]
    """LCS of a sequence, given as its sorted words with their places, and another sequence."""
    size = len(sorted_words)
    blocks = (size + 63) // 64
    row = np.full(blocks, _ONES, np.uint64)  # bit j is 0 where the LCS grows at place j
    matches = np.zeros(blocks, np.uint64)
    for k in range(len(other)):
        word = other[k]
        low, high = 0, size
        while low < high:
            middle = (low + high) // 2
            if sorted_words[middle] < word:
                low = middle + 1
            else:
                high = middle
        end = low
        while end < size and sorted_words[end] == word:
            matches[places[end] >> 6] |= _ONE << np.uint64(places[end] & 63)
            end += 1
        if end == low:
            continue
        carry = _ZERO
        for block in range(blocks):
            before = row[block]
            both = before & matches[block]
            total = before + both
            over = np.uint64(total < before)
            total += carry
            carry = over | np.uint64(total < carry)
            row[block] = total | (before & ~both)
        for i in range(low, end):
            matches[places[i] >> 6] = _ZERO
    length = np.int64(0)
    for place in range(size):
        length += np.int64(~row[place >> 6] >> np.uint64(place & 63) & _ONE)
    return length


if __name__ == "__main__":
    one, two = word_hashes(pa.array(sys.argv[1:3]))
    print(common_subsequence(one, two), f"{rouge_l(one, two):.3f}")
