"""English tokens as spaCy's blank("en") makes them, of whole texts: hashes, lengths, simple counts.

In: UTF-8 bytes of one document. Out: a hash and a length for each token, and counts over them.
Shown by: `python -m gristmill.text.spacy_like "Don't (really) go to U.S.-style e-mail: a@b.org!"`.
Limit: as in spacy_cut.py; white-space tokens are not given (datatrove drops them).

Most runs of non-space are plain ASCII words: they are found 64 bytes at a time, hashed at once, and
only words that may be exceptions ("cannot") and all other runs are handed to spacy_cut.
"""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt
from numba import njit

from gristmill.text.english import SPACE, english, in_bloom
from gristmill.text.simd import byte_mask, load64, low_bits, trailing_zeros
from gristmill.text.spacy_affixes import char_at
from gristmill.text.spacy_runs import (
    ALPHA_WORDS,
    CACHE_SHIFT,
    CACHE_SIZE,
    COUNTED_CHARS,
    COUNTED_WORDS,
    COUNTS,
    ROW,
    STOP_MASK,
    add_mark,
    add_token,
    any_run,
    letter_mask,
    peels,
    recall,
    remember,
    stop_bit,
)
from gristmill.text.words import SEED, hash_bytes, hash_end, hash_round

_SEED, _ONE, _ZERO = np.uint64(SEED), np.uint64(1), np.uint64(0)


@njit(inline="always")
def _masks(data, p):  # type: ignore[no-untyped-def]
    """Of data[p:p+64]: ASCII white space, ASCII letters, bytes over 0x7F."""
    space = byte_mask(data, p, 0, 9, 5) | byte_mask(data, p, 0, 28, 5)
    return space, letter_mask(data, p), byte_mask(data, p, 0, 0x80, 0x80)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _last_masks(data, p):  # type: ignore[no-untyped-def]
    """`_masks` of fewer than 64 bytes at the end of the array."""
    space, letter, high = _ZERO, _ZERO, _ZERO
    for k in range(len(data) - p):
        byte, bit = data[p + k], _ONE << np.uint64(k)
        if byte >= 0x80:
            high |= bit
        elif 9 <= byte <= 13 or 28 <= byte <= 32:
            space |= bit
        elif 0x61 <= byte | 0x20 <= 0x7A:
            letter |= bit
    return space, letter, high


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def mark_spaces(data, p, end, space, high, skip, flag):  # type: ignore[no-untyped-def]
    """Add white space over 0x7F to the mask of the block at p.

    skip: bytes at the block's start that belong to a character of the block before; negative where
    that was white space. Returns (space, skip for the next block).
    """
    if skip < 0:
        space |= low_bits(-skip)
    high &= ~low_bits(abs(skip))
    skip = np.int64(0)
    while high != _ZERO:
        k = trailing_zeros(high)
        _, width, flags = char_at(data, p + k, end, flag)
        bits = low_bits(width) << np.uint64(k)
        high &= ~bits
        over = max(k + width - 64, 0)
        if flags & SPACE:
            space |= bits
            skip = -over
        else:
            skip = over
    return space, skip


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def tokenise(  # type: ignore[no-untyped-def]
    data, offsets, flag, book, hashes, chars, scratch, cache, tokens, out, ends=None
):
    """The tokens of texts: text t is data[offsets[t]:offsets[t + 1]].

    Args:
        flag, book: `english()`.
        hashes: uint64, room for a token a byte: hash of each token's bytes.
        chars: int32, one more: chars[k] = code points of the tokens before k, of all texts.
        scratch: two int64 arrays for the longest text, see `scratch_for`.
        cache: uint64 [CACHE_SIZE], at first zeros: the tokens of runs met before.
        tokens: int64 [texts + 1]: text t has the tokens tokens[t] to tokens[t + 1] - 1.
        out: int64 [texts, COUNTS]: counts over each text's tokens.
        ends: int64, the byte where each token ends; for tests.
    """
    bounds, spare = scratch
    size = len(data)
    n = np.int64(0)
    chars[0] = tokens[0] = 0
    for t in range(len(offsets) - 1):
        begin, end = offsets[t], offsets[t + 1]
        counts = out[t]
        for k in range(COUNTS):
            counts[k] = 0
        open_run, skip = False, np.int64(0)
        start = begin  # of the open run
        words = word_chars = stops = np.int64(0)
        for p in range(begin, end + 64, 64):  # one block more, to end the last run
            inside = low_bits(end - p)
            space, letter, high = _ZERO, _ZERO, _ZERO
            if p < end:
                if p + 64 <= size:
                    space, letter, high = _masks(data, p)
                else:
                    space, letter, high = _last_masks(data, p)
            high &= inside
            if high != _ZERO or skip != 0:
                space, skip = mark_spaces(data, p, end, space, high, skip, flag)
            run = ~space & inside
            before = (run << _ONE) | np.uint64(open_run)
            firsts, lasts = run & ~before, before & ~run
            if not open_run and firsts != _ZERO:
                start = p + trailing_zeros(firsts)
                firsts &= firsts - _ONE
            while lasts != _ZERO:
                stop = p + trailing_zeros(lasts)
                lasts &= lasts - _ONE
                length = stop - start
                simple = length <= 16 and start + 64 <= size
                if simple:
                    shape = (
                        letter >> np.uint64(start - p) if start >= p else letter_mask(data, start)
                    )
                    shape = ~shape & low_bits(length)
                    lead = np.int64(shape & _ONE)
                    trail = np.int64(shape >> np.uint64(length - 1))
                    first, last = start + lead, stop - trail
                    letters = last - first
                    marks = shape != _ZERO
                    simple = (
                        letters > 0 and shape & ~(_ONE | _ONE << np.uint64(length - 1)) == _ZERO
                    )
                if simple:
                    low = load64(data, first) & low_bits(8 * letters)
                    rest = load64(data, first + 8) & low_bits(8 * letters - 64)
                    value = hash_end(hash_round(_SEED, low, rest), np.uint64(letters))
                    simple = not in_bloom(book, 0, value)
                    if marks and simple:
                        simple = peels(data, start, stop, lead, trail, flag, book)
                if simple:
                    if lead:
                        n = add_mark(data, start, ends, n, flag, hashes, chars, counts)
                    n = add_token(value, letters, ends, last, n, hashes, chars)
                    words += 1
                    word_chars += letters
                    stops |= stop_bit(low)
                    if trail:
                        n = add_mark(data, last, ends, n, flag, hashes, chars, counts)
                else:
                    row, value = np.int64(0), _ZERO
                    keep = ends is None and length <= 64
                    if keep:
                        value = hash_bytes(data, start, stop)
                        row = np.int64(value >> CACHE_SHIFT) * ROW
                    if keep and cache[row] == value:
                        n = recall(cache, row, hashes, chars, n, counts)
                    else:
                        before = counts[ALPHA_WORDS], counts[COUNTED_WORDS], counts[COUNTED_CHARS]
                        old = n
                        stops |= counts[STOP_MASK]
                        counts[STOP_MASK] = 0
                        n = any_run(
                            data,
                            start,
                            stop,
                            flag,
                            book,
                            hashes,
                            chars,
                            bounds,
                            spare,
                            counts,
                            n,
                            ends,
                        )
                        if keep and n - old <= ROW - 3:
                            remember(cache, row, value, hashes, chars, old, n, counts, before)
                if firsts != _ZERO:
                    start = p + trailing_zeros(firsts)
                    firsts &= firsts - _ONE
            open_run = run >> np.uint64(63) != _ZERO
        counts[ALPHA_WORDS] += words
        counts[COUNTED_WORDS] += words
        counts[COUNTED_CHARS] += word_chars
        counts[STOP_MASK] |= stops
        tokens[t + 1] = n


def scratch_for(longest: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Scratch of `tokenise` for texts of up to `longest` bytes; unused pages cost nothing."""
    return np.empty(longest + 2, np.int64), np.empty(3 * longest + 6, np.int64)


def spacy_like_tokens(text: str) -> list[str]:
    """The tokens of one text as strings."""
    raw = text.encode() or b" "
    size = len(raw) + 1
    chars, ends = np.empty(size + 1, np.int32), np.empty(size, np.int64)
    tokens = np.empty(2, np.int64)
    tokenise(
        np.frombuffer(raw, np.uint8), np.array([0, len(raw)]), *english(),
        np.empty(size, np.uint64), chars, scratch_for(size), np.zeros(CACHE_SIZE, np.uint64),
        tokens, np.empty((1, COUNTS), np.int64), ends,
    )  # fmt: skip
    lengths = np.diff(chars[: tokens[1] + 1])
    pairs = zip(ends[: tokens[1]].tolist(), lengths.tolist(), strict=True)
    return [raw[:end].decode()[-length:] for end, length in pairs]


if __name__ == "__main__":
    print(spacy_like_tokens(" ".join(sys.argv[1:])))
