"""Signals as dolma's taggers gopher_v1 and c4_v2 count them: for the dialects `@dolma`.

In: a text column. Out: family `dolma`.
Shown by: `python -m gristmill.text.signals "To be or not to be"`.
Limit: the taggers' list of naughty words is not part of this.

Definitions: dolma 1.2.1, dolma/taggers/{gopher,c4}.py. A word is what str.split gives, a line what
split("\\n") gives, empty ones among them (so blank lines count as duplicates of each other).
Lengths are code points. A median of integers may end in .5, so twice the median is kept.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit

from gristmill.text import datatrove_lines as dl
from gristmill.text.chunks import chunks, text_arrays
from gristmill.text.english import LETTER, SPACE, english
from gristmill.text.family import Family, Signals
from gristmill.text.phrases import JAVASCRIPT, LOREM_IPSUM, has_byte, phrases
from gristmill.text.repetition import DUPLICATE_NGRAMS, TOP_NGRAMS, group_equal
from gristmill.text.simd import byte_mask, load64, low_bits, trailing_zeros
from gristmill.text.spacy_affixes import ELLIPSIS, char_at
from gristmill.text.spacy_like import mark_spaces
from gristmill.text.spacy_runs import stop_bit
from gristmill.text.token_repetition import token_repetition
from gristmill.text.words import hash_bytes


def _named(*names: str) -> tuple[str, ...]:
    return tuple(f"dolma_{name}" for name in names)


OF_WORDS = _named(
    "words",
    "word_chars",
    "median_word_length_x2",
    "symbol_words",  # with "#" or "…"
    "alpha_words",  # with a letter
    "required_words",  # occurrences of Gopher's eight, lower case
    *(f"all_{n}gram_chars" for n in DUPLICATE_NGRAMS),  # characters of all n-grams together
    *(f"top_{n}gram_chars" for n in TOP_NGRAMS),
    *(f"repeated_{n}gram_chars" for n in DUPLICATE_NGRAMS),
)
OF_LINES = _named(
    "chars",
    "lines",
    "bullet_lines",  # begin with "*" or "-"
    "ellipsis_lines",  # end with "…"
    "repeated_lines",  # that occur more than once, all of them
    "repeated_line_chars",
    "unpunctuated_lines",  # stripped, do not end with . ? ! or "
    "few_word_lines",  # fewer than three words
    "curly_bracket",  # 1 if the text has "{"
    "javascript",  # 1 if the text has the word, any case
    "lorem_ipsum",
)
NAMES = (*OF_WORDS, *OF_LINES)
MIN_WORDS_PER_LINE = 3
_LENGTHS = 1024  # word lengths counted one by one; a median above is searched for

_ZERO, _ONE = np.uint64(0), np.uint64(1)


@njit(cache=True, nogil=True, boundscheck=False)
def _count_words(data, tail, offsets, flag, hashes, chars, words, out):  # type: ignore[no-untyped-def]
    """Hash the words of texts and fill out[signal, text], the names in OF_WORDS.

    words (int64 [texts + 1]): text t has the words words[t] to words[t + 1] - 1; chars[k] (int32):
    code points of the words before word k, of all texts.
    """
    histogram = np.empty(_LENGTHS + 1, np.int32)
    n = np.int64(0)
    chars[0] = words[0] = 0
    for t in range(len(offsets) - 1):
        histogram[:] = 0
        first = n
        n, symbols, alphas, required = _words(
            data, tail, offsets[t], offsets[t + 1], flag, hashes, chars, n, histogram
        )
        words[t + 1] = n
        out[0, t], out[1, t] = n - first, chars[n] - chars[first]
        out[2, t] = _median_twice(chars[first : n + 1], n - first, histogram)
        out[3, t], out[4, t], out[5, t] = symbols, alphas, required
        for k in range(len(DUPLICATE_NGRAMS)):
            # the sum over i of chars[i + size] - chars[i], most of which cancels
            size, every = DUPLICATE_NGRAMS[k], np.int64(0)
            for j in range(size if n - first >= size else 0):
                every += np.int64(chars[n - j]) - chars[first + j]
            out[6 + k, t] = every


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _words(data, tail, start, end, flag, hashes, chars, n, histogram):  # type: ignore[no-untyped-def]
    """Append the words of data[start:end]; (words, with a symbol, with a letter, required)."""
    size, shift = len(data), len(data) - (len(tail) - 64)
    symbols = alphas = required = np.int64(0)
    skip = np.int64(0)
    open_run = False
    letter_before = symbol_before = high_before = False  # in the part before this block
    begin = start
    for p in range(start, end + 64, 64):  # one block more, to end the last word
        space, letter, symbol, high = _ZERO, _ZERO, _ZERO, _ZERO
        inside = low_bits(end - p)
        if p < end:
            source, i = data, p
            if p + 64 > size:
                source, i = tail, p - shift
            space = byte_mask(source, i, 0, 9, 5) | byte_mask(source, i, 0, 28, 5)
            letter = byte_mask(source, i, 0x20, 0x61, 26) & inside
            symbol = byte_mask(source, i, 0, 0x23, 1) & inside
            high = byte_mask(source, i, 0, 0x80, 0x80) & inside
            if high != _ZERO or skip != 0:
                space, skip = mark_spaces(data, p, end, space, high, skip, flag)
        run = ~space & inside
        before = (run << _ONE) | np.uint64(open_run)
        firsts, lasts = run & ~before, before & ~run
        if not open_run and firsts != _ZERO:
            begin = p + trailing_zeros(firsts)
            firsts &= firsts - _ONE
            letter_before = symbol_before = high_before = False
        while lasts != _ZERO:
            bit = trailing_zeros(lasts)
            stop = p + bit
            lasts &= lasts - _ONE
            bits = low_bits(bit) & ~low_bits(begin - p)
            has_letter = letter_before or letter & bits != _ZERO
            has_symbol = symbol_before or symbol & bits != _ZERO
            length = stop - begin
            if high_before or high & bits != _ZERO:
                other_letter, ellipsis, length = _other_word(data, begin, stop, flag)
                has_letter |= other_letter
                has_symbol |= ellipsis
            elif length <= 4 and begin + 8 <= size:
                required += stop_bit(load64(data, begin) & low_bits(8 * length)) != 0
            elif length <= 4:
                low = _ZERO
                for k in range(length):
                    low |= np.uint64(data[begin + k]) << np.uint64(8 * k)
                required += stop_bit(low) != 0
            alphas += has_letter
            symbols += has_symbol
            hashes[n] = hash_bytes(data, begin, stop)
            chars[n + 1] = chars[n] + length
            histogram[min(length, _LENGTHS)] += 1
            n += 1
            if firsts != _ZERO:
                begin = p + trailing_zeros(firsts)
                firsts &= firsts - _ONE
                letter_before = symbol_before = high_before = False
        open_run = run >> np.uint64(63) != _ZERO
        if open_run:
            bits = ~low_bits(begin - p)
            letter_before |= letter & bits != _ZERO
            symbol_before |= symbol & bits != _ZERO
            high_before |= high & bits != _ZERO
    return n, symbols, alphas, required


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _other_word(data, i, end, flag):  # type: ignore[no-untyped-def]
    """(has a letter, has "…", code points) of a word that is not ASCII."""
    letter = ellipsis = False
    chars = np.int64(0)
    while i < end:
        cp, width, flags = char_at(data, i, end, flag)
        letter |= flags & LETTER != 0
        ellipsis |= cp == ELLIPSIS
        chars += 1
        i += width
    return letter, ellipsis, chars


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _median_twice(chars, n, histogram):  # type: ignore[no-untyped-def]
    """Twice the median of the word lengths chars[k + 1] - chars[k]."""
    if n == 0:
        return np.int64(0)
    total = np.int64(0)
    seen = np.int64(0)
    low, high = (n - 1) // 2, n // 2  # ranks whose mean is the median
    for length in range(_LENGTHS):
        below = seen
        seen += histogram[length]
        total += length * (np.int64(below <= low < seen) + np.int64(below <= high < seen))
        if seen > high:
            return total
    # half of the words are enormous: find the two ranks by halving the range of lengths
    total = np.int64(0)
    for rank in (low, high):
        least, most = np.int64(0), np.int64(chars[n] - chars[0])
        while least < most:
            middle = (least + most) // 2
            count = np.int64(0)
            for k in range(n):
                count += chars[k + 1] - chars[k] <= middle
            if count > rank:
                most = middle
            else:
                least = middle + 1
        total += least
    return total


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _few_words(data, i, end, flag):  # type: ignore[no-untyped-def]
    """Has the line fewer than three words?"""
    words, inside = 0, False
    while i < end:
        _, width, flags = char_at(data, i, end, flag)
        space = flags & SPACE != 0
        if not space and not inside:
            words += 1
            if words == MIN_WORDS_PER_LINE:
                return False
        inside = not space
        i += width
    return True


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _lines(data, tail, start, end, flag, plain, codes, lengths):  # type: ignore[no-untyped-def]
    """Hash and length of every line that is not empty.

    Returns (these, all lines, bullets, ellipses, unpunctuated, of few words).
    """
    count = lines = bullets = ellipses = unpunctuated = few = np.int64(0)
    while start <= end:
        stop = dl.next_feed(data, tail, start, end)
        lines += 1
        if stop > start:
            codes[count] = hash_bytes(data, start, stop)
            lengths[count] = stop - start if plain else dl.count_chars(data, tail, start, stop)
            count += 1
            bullets += data[start] == 0x2A or data[start] == 0x2D
            if stop - start >= 3 and data[stop - 3] == 0xE2 and data[stop - 2] == 0x80:
                ellipses += data[stop - 1] == 0xA6
            last = dl.strip_right(data, start, stop, flag)
            mark = data[last - 1] if last > start else np.uint8(0)
            unpunctuated += mark != 0x2E and mark != 0x3F and mark != 0x21 and mark != 0x22
            few += _few_words(data, start, stop, flag)
        else:
            unpunctuated += 1
            few += 1
        start = stop + 1
    return count, lines, bullets, ellipses, unpunctuated, few


@njit(cache=True, nogil=True, boundscheck=False)
def _count_lines(data, tail, offsets, flag, out):  # type: ignore[no-untyped-def]
    """Fill out[signal, text]: the names in OF_LINES. An empty text has no lines."""
    longest = np.int64(16)
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row] + 1)
    slots = np.int64(16)
    while slots < 2 * longest:
        slots *= 2
    codes, lengths = np.empty(longest, np.uint64), np.empty(longest, np.int32)
    first, times = np.empty(longest, np.int32), np.empty(longest, np.int32)
    table = np.empty(slots, np.int32)
    for row in range(len(offsets) - 1):
        start, end = offsets[row], offsets[row + 1]
        if start == end:
            continue
        total = dl.count_chars(data, tail, start, end)
        filled, lines, bullets, ellipses, unpunctuated, few = _lines(
            data, tail, start, end, flag, total == end - start, codes, lengths
        )
        group_equal(codes, filled, first, times, table)
        repeated = lines - filled if lines - filled > 1 else 0
        repeated_chars = np.int64(0)
        for k in range(filled):
            if times[first[k]] > 1:
                repeated += 1
                repeated_chars += lengths[k]
        found = phrases(data, tail, start, end)
        seen = (
            total, lines, bullets, ellipses, repeated, repeated_chars, unpunctuated, few,
            np.int64(has_byte(data, tail, start, end, 0x7B)),
            np.int64(found & JAVASCRIPT != 0), np.int64(found & LOREM_IPSUM != 0),
        )  # fmt: skip
        for k in range(len(seen)):
            out[k, row] = seen[k]


def _compute(column: pa.Array | pa.ChunkedArray) -> Signals:
    data, offsets = text_arrays(column)
    # one column more than texts: so that the slices are of one kind to numba, never contiguous
    of_words = np.zeros((len(OF_WORDS), len(offsets)), np.int64)
    of_lines = np.zeros((len(OF_LINES), len(offsets)), np.int64)
    tail, flag = dl.tail_of(data), english().flags
    for low, high in chunks(offsets):
        part = offsets[low : high + 1]
        room = int(part[-1] - part[0]) + 1
        hashes, chars = np.empty(room, np.uint64), np.empty(room + 1, np.int32)
        words = np.empty(high - low + 1, np.int64)
        _count_words(data, tail, part, flag, hashes, chars, words, of_words[:, low:high])
        token_repetition(hashes, chars, words, 0, False, of_words[12:, low:high])
        _count_lines(data, tail, part, flag, of_lines[:, low:high])
    return dict(zip(NAMES, (*of_words[:, :-1], *of_lines[:, :-1]), strict=True))


FAMILIES = {"dolma": Family(NAMES, _compute)}
