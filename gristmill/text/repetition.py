"""Repetition of words, lines and paragraphs: Gopher's signals on arrays of hashes and lengths.

In: hashes (uint64) and lengths (int32, characters) of a document's words, lines, paragraphs.
Out: characters in repeated n-grams, numbers of duplicates; all integers.
Shown by: `python -m gristmill.text.signals "to be or not to be"`.
Limit: equal means equal 64-bit hashes; a document has fewer than 2^31 words.

Two n-grams repeat only where their (n-1)-grams repeat, so after the bigrams few positions are left;
and a byte-wide sketch, counted without a branch, tells the bigrams that occur once from the others.
Any tokenisation will do: `group_equal` and `repeated_ngrams` know only hashes and lengths.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gristmill.text.hashing import combine

# Gopher (Rae et al. 2021, A1.1): the most frequent of these, all that repeat of those
TOP_NGRAMS = (2, 3, 4)
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)

_K = np.uint64(0x9E3779B185EBCA87)
_64 = np.uint64(64)


def table_size(count: int) -> int:
    """Slots that a table for `count` hashes needs: a power of two, at most half full."""
    return max(16, 1 << (2 * count - 1).bit_length())


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _bits(size):  # type: ignore[no-untyped-def]
    """log2 of the least power of two that is at least `size` and 16."""
    bits = np.int64(4)
    while (np.int64(1) << bits) < size:
        bits += 1
    return bits


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def group_equal(codes, count, first, times, table):  # type: ignore[no-untyped-def]
    """Find equal hashes among codes[:count].

    first (int32): for each, the index of the first one equal to it; times (int32): at that index,
    how many are equal, and 0 elsewhere. table: int32 scratch of table_size(count) or more; only
    that much of it is used.
    """
    bits = _bits(2 * count)
    mask = (np.int64(1) << bits) - 1
    shift = _64 - np.uint64(bits)
    table[: mask + 1] = 0
    for j in range(count):
        code = codes[j]
        slot = np.int64((code * _K) >> shift)
        while True:
            other = table[slot] - 1
            if other < 0:
                table[slot] = j + 1
                first[j] = j
                times[j] = 1
                break
            if codes[other] == code:
                first[j] = other
                times[j] = 0
                times[other] += 1
                break
            slot = (slot + 1) & mask


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def repeated_bigrams(hashes, words, places, codes, sketch):  # type: ignore[no-untyped-def]
    """Where bigrams start that may occur more than once, in order, and their hashes; how many.

    No repeated bigram is missed. sketch: uint8 scratch of a power of two of bytes.
    """
    bits = min(_bits(8 * words), _bits(len(sketch) // 2 + 1))
    shift = _64 - np.uint64(bits)
    sketch[: np.int64(1) << bits] = 0
    for i in range(words - 1):
        slot = np.int64(combine(hashes[i], hashes[i + 1]) >> shift)
        sketch[slot] += sketch[slot] < 2
    found = np.int64(0)
    for i in range(words - 1):
        code = combine(hashes[i], hashes[i + 1])
        places[found] = i
        codes[found] = code
        found += sketch[np.int64(code >> shift)] > 1
    return found


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def repeated_ngrams(  # type: ignore[no-untyped-def]
    hashes, lengths, words, top, covered, places, codes, first, times, table, sketch
):
    """Gopher's n-gram signals of a document of `words` words, by the paper's definition.

    top[k]: occurrences times characters of the most frequent (k+2)-gram (of equally frequent ones
    the longest), 0 when none occurs twice. covered[k]: characters of the words that lie in any
    (k+5)-gram that occurs more than once, each word once. Lengths count words only, no spaces.
    Scratch: places, first, times int32 [words]; codes uint64 [words]; table as `group_equal` needs;
    sketch uint8, a power of two of bytes, best 8 times the words.
    """
    top[:] = 0
    covered[:] = 0
    if words < 2:
        return
    found = repeated_bigrams(hashes, words, places, codes, sketch)
    for n in range(2, 11):
        if found < 2:
            return
        group_equal(codes, found, first, times, table)
        if n <= 4:
            most, longest = np.int64(2), np.int64(0)
            for j in range(found):
                if times[j] >= most:
                    length = np.int64(0)
                    for i in range(places[j], places[j] + n):
                        length += lengths[i]
                    if times[j] > most or length > longest:
                        most, longest = np.int64(times[j]), length
            top[n - 2] = most * longest
        else:
            total, until = np.int64(0), np.int64(0)
            for j in range(found):
                if times[first[j]] > 1:
                    for i in range(max(until, np.int64(places[j])), places[j] + n):
                        total += lengths[i]
                    until = np.int64(places[j]) + n
            covered[n - 5] = total
        if n == 10:
            return
        # an (n+1)-gram repeats only if the n-grams at its start and one word on repeat
        kept = np.int64(0)
        repeats = times[first[0]] > 1
        for j in range(found - 1):
            place = np.int64(places[j])
            following = times[first[j + 1]] > 1
            # no branch: most of these cannot be foreseen
            places[kept] = place
            codes[kept] = combine(codes[j], hashes[min(place + n, words - 1)])
            kept += repeats & following & (place + 1 == places[j + 1])
            repeats = following
        found = kept


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def duplicates(hashes, lengths, count, first, times, table):  # type: ignore[no-untyped-def]
    """Of `count` lines or paragraphs: (those equal to an earlier one, their characters, those that
    occur more than once, their characters)."""
    later, later_chars = np.int64(0), np.int64(0)
    every, every_chars = np.int64(0), np.int64(0)
    group_equal(hashes, count, first, times, table)
    for j in range(count):
        if times[first[j]] > 1:
            every += 1
            every_chars += lengths[j]
            if first[j] != j:
                later += 1
                later_chars += lengths[j]
    return later, later_chars, every, every_chars
