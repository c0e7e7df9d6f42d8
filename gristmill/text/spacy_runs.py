"""One run of non-space as spaCy tokens: counts over them, and a cache of runs met before.

In: where a run stands. Out: hashes and lengths of its tokens, and their part in a text's counts.
Shown by: `python -m gristmill.text.spacy_like "It's (really) so."`.
Limit: runs of more than 64 bytes or six tokens are not kept in the cache.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gristmill.text.english import FIRSTS, LETTER, PREFIX, SUFFIX, SYMBOL, in_bloom
from gristmill.text.simd import byte_mask, load64, low_bits
from gristmill.text.spacy_affixes import char_at
from gristmill.text.spacy_cut import ALL, cut_run, join_rules
from gristmill.text.words import SEED, hash_bytes, hash_end, hash_round

# counts over the tokens of a text
ALPHA_WORDS = 0  # with a letter (str.isalpha)
COUNTED_WORDS = 1  # with a character that is not in datatrove's PUNCTUATION_SET
COUNTED_CHARS = 2  # code points in those
STOP_MASK = 3  # which of Gopher's eight words occur, as bits; lower case only
COUNTS = 4

# Runs repeat: "(cf.", "2011.", "e-mail". A row of the cache holds a run's hash, its packed counts,
# the lengths and the hashes of its tokens.
CACHE_BITS = 12
ROW = 9
CACHE_SIZE = ROW << CACHE_BITS
CACHE_SHIFT = np.uint64(64 - CACHE_BITS)

_SEED, _ONE, _ZERO = np.uint64(SEED), np.uint64(1), np.uint64(0)
# found by trial: sends the eight words, as little-endian integers, to eight of sixteen slots
_STOP_MULTIPLIER = np.uint64(0x411B6F962E8B1E79)
_STOP_KEYS = np.zeros(16, np.uint64)
for _word in (b"the", b"be", b"to", b"of", b"and", b"that", b"have", b"with"):
    _key = int.from_bytes(_word, "little")
    _STOP_KEYS[(_key * int(_STOP_MULTIPLIER) & (1 << 64) - 1) >> 60] = _key


@njit(inline="always")
def stop_bit(low):  # type: ignore[no-untyped-def]
    """Bit of Gopher's stop word whose bytes are `low` (uint64), 0 for others; without a branch."""
    slot = (low * _STOP_MULTIPLIER) >> np.uint64(60)
    return np.int64(_STOP_KEYS[slot] == low) << np.int64(slot)


@njit(inline="always")
def letter_mask(data, p):  # type: ignore[no-untyped-def]
    """Which of data[p:p+64] are ASCII letters."""
    return byte_mask(data, p, 0x20, 0x61, 26)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _count_token(data, start, end, flag, counts):  # type: ignore[no-untyped-def]
    """Add one token of any kind to the counts; returns its code points."""
    chars = 0
    letter = counted = False
    i = start
    while i < end:
        _, width, flags = char_at(data, i, end, flag)
        letter |= flags & LETTER != 0
        counted |= flags & SYMBOL == 0
        chars += 1
        i += width
    counts[ALPHA_WORDS] += letter
    if counted:
        counts[COUNTED_WORDS] += 1
        counts[COUNTED_CHARS] += chars
    if 2 <= end - start <= 4:
        low = _ZERO
        for k in range(end - start):
            low |= np.uint64(data[start + k]) << np.uint64(8 * k)
        counts[STOP_MASK] |= stop_bit(low)
    return chars


@njit(inline="always")
def add_token(value, length, ends, stop, n, hashes, chars):  # type: ignore[no-untyped-def]
    """Append one token; the new number of tokens."""
    hashes[n] = value
    chars[n + 1] = chars[n] + length
    if ends is not None:
        ends[n] = stop
    return n + 1


@njit(inline="always")
def add_mark(data, i, ends, n, flag, hashes, chars, counts):  # type: ignore[no-untyped-def]
    """Append the token of one ASCII mark at i; the new number of tokens."""
    if flag[data[i]] & SYMBOL == 0:
        counts[COUNTED_WORDS] += 1
        counts[COUNTED_CHARS] += 1
    value = hash_end(hash_round(_SEED, np.uint64(data[i]), _ZERO), _ONE)
    return add_token(value, 1, ends, i + 1, n, hashes, chars)


@njit(inline="always")
def peels(data, start, stop, lead, trail, flag, book):  # type: ignore[no-untyped-def]
    """Does a run of letters lose just these marks (0 or 1 each), with no exception about?"""
    if lead and not (data[start] < 0x80 and flag[data[start]] & PREFIX):
        return False
    last = data[stop - 1]
    if trail and not (last < 0x80 and flag[last] & SUFFIX):
        if last != 0x2E or data[stop - 2] < 0x61:  # "word." is cut, "U.S." is another matter
            return False
    if in_bloom(book, 0, hash_bytes(data, start, stop)):
        return False
    if lead and trail:
        return not (
            in_bloom(book, 0, hash_bytes(data, start + 1, stop))
            or in_bloom(book, 0, hash_bytes(data, start, stop - 1))
        )
    return True


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def any_run(  # type: ignore[no-untyped-def]
    data, start, stop, flag, book, hashes, chars, bounds, spare, counts, n, ends
):
    """Append the tokens of any run without white space; the new number of tokens."""
    inside = low_bits(stop - start)
    letters, digits, infixes = _ZERO, inside, ALL
    plain = False  # ASCII of at most 64 bytes, whose masks are known
    if stop - start <= 64 and start + 64 <= len(data):
        if byte_mask(data, start, 0, 0x80, 0x80) & inside == _ZERO:
            plain = True
            letters = letter_mask(data, start)
            digits = byte_mask(data, start, 0, 0x30, 10) & inside
            # * + , - . /  : ; < = >  ^ ~
            infixes = byte_mask(data, start, 0, 0x2A, 6) | byte_mask(data, start, 0, 0x3A, 5)
            infixes = (infixes | byte_mask(data, start, 0x20, 0x7E, 1)) & inside
    cut = cut_run(data, start, stop, flag, book, digits != _ZERO, infixes, bounds, spare)
    again = False
    for t in range(cut):
        value = hash_bytes(data, bounds[t], bounds[t + 1])
        hashes[n + t] = value
        again |= in_bloom(book, FIRSTS, value)
    if again and cut > 1:
        joined = join_rules(data, cut, book, hashes, n, bounds, spare)
        if joined != cut:
            cut = joined
            for t in range(cut):
                hashes[n + t] = hash_bytes(data, bounds[t], bounds[t + 1])
    for t in range(cut):
        i, length = bounds[t], bounds[t + 1] - bounds[t]
        bits = low_bits(length) << np.uint64(i - start)
        if plain and (letters | digits) & bits != _ZERO:
            counts[ALPHA_WORDS] += letters & bits != _ZERO
            counts[COUNTED_WORDS] += 1
            counts[COUNTED_CHARS] += length
            counts[STOP_MASK] |= stop_bit(load64(data, i) & low_bits(8 * length))
        else:
            length = _count_token(data, i, bounds[t + 1], flag, counts)
        n = add_token(hashes[n], length, ends, bounds[t + 1], n, hashes, chars)
    return n


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def remember(cache, row, value, hashes, chars, start, n, counts, before):  # type: ignore[no-untyped-def]
    """Keep the tokens start..n of the run with hash `value`; before: counts without them."""
    alphas, words, word_chars = before
    lengths = _ZERO
    for t in range(n - start):
        cache[row + 3 + t] = hashes[start + t]
        length = np.uint64(chars[start + t + 1] - chars[start + t])
        lengths |= length << np.uint64(8 * t)
    meta = np.uint64(n - start) | np.uint64(counts[ALPHA_WORDS] - alphas) << np.uint64(8)
    meta |= np.uint64(counts[COUNTED_WORDS] - words) << np.uint64(16)
    meta |= np.uint64(counts[COUNTED_CHARS] - word_chars) << np.uint64(24)
    cache[row + 2] = lengths
    cache[row + 1] = meta | np.uint64(counts[STOP_MASK]) << np.uint64(40)
    cache[row] = value


@njit(inline="always")
def recall(cache, row, hashes, chars, n, counts):  # type: ignore[no-untyped-def]
    """Append the tokens kept in a row; the new number of tokens."""
    meta, lengths = cache[row + 1], cache[row + 2]
    byte = np.uint64(255)
    for t in range(np.int64(meta & byte)):
        hashes[n] = cache[row + 3 + t]
        chars[n + 1] = chars[n] + np.int64(lengths & byte)
        lengths >>= np.uint64(8)
        n += 1
    counts[ALPHA_WORDS] += np.int64(meta >> np.uint64(8) & byte)
    counts[COUNTED_WORDS] += np.int64(meta >> np.uint64(16) & byte)
    counts[COUNTED_CHARS] += np.int64(meta >> np.uint64(24) & np.uint64(0xFFFF))
    counts[STOP_MASK] |= np.int64(meta >> np.uint64(40))
    return n
