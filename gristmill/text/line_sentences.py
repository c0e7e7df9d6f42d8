"""How many sentences a line has: as spaCy's rule-based sentencizer counts, and by end marks.

In: texts, cleaned, a line per line feed. Out: a number a text.
Shown by: `python -m gristmill.text.line_sentences "Hi. Go!"`.
Limit: C4 used NLTK's trained punkt model, which no rule reproduces; end marks stand in for it.

datatrove's C4 filter counts with spaCy: a sentence ends after a token that is one of its marks, and
the next begins at the first token that is not punctuation only (white space of two characters is
one). So only runs of non-space that hold a mark, and what follows them, are looked at.
"""

from __future__ import annotations

import sys

import numpy as np
from numba import njit

from gristmill.text import unicode as u
from gristmill.text.datatrove_lines import next_feed, strip_left, tail_of
from gristmill.text.english import FIRSTS, PUNCT, SENTENCE_END, SPACE, english, in_bloom
from gristmill.text.lines import ends_sentence
from gristmill.text.simd import byte_mask, trailing_zeros
from gristmill.text.spacy_affixes import char_at, char_before
from gristmill.text.spacy_cut import ALL, cut_run, join_rules
from gristmill.text.words import hash_bytes

_ZERO, _ONE = np.uint64(0), np.uint64(1)
_CACHE_BITS = 12
_CACHE_SHIFT = np.uint64(64 - _CACHE_BITS)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def next_mark(data, tail, i, end, flag):  # type: ignore[no-untyped-def]
    """Where the first character that spaCy's sentencizer knows is, at or after i; or `end`."""
    size, shift = len(data), len(data) - (len(tail) - 64)
    for p in range(i, end, 64):
        source, k = data, p
        if p + 64 > size:
            source, k = tail, p - shift
        marks = byte_mask(source, k, 0, 0x2E, 1) | byte_mask(source, k, 0, 0xC2, 0x33)
        marks |= byte_mask(source, k, 0, 0x21, 1) | byte_mask(source, k, 0, 0x3F, 1)
        while marks != _ZERO:
            j = p + trailing_zeros(marks)
            marks &= marks - _ONE
            if j >= end:
                return end
            if data[j] < 0x80 or char_at(data, j, end, flag)[2] & SENTENCE_END:
                return j
    return end


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _run_end(data, i, end, flag):  # type: ignore[no-untyped-def]
    """Where the run of non-space around i ends."""
    while i < end:
        _, width, flags = char_at(data, i, end, flag)
        if flags & SPACE:
            break
        i += width
    return i


@njit(inline="always")
def _run(data, start, end, flag, book, hashes, bounds, spare, pending):  # type: ignore[no-untyped-def]
    """(sentences that begin in a run, is one over at its end), `pending`: is one over before it."""
    if not pending and data[end - 1] == 0x2E and end - start > 2:
        # most often: "word.", a word of lower-case letters that no exception ends
        plain = True
        for i in range(start, end - 1):
            plain &= 0x61 <= data[i] <= 0x7A
        if plain and not in_bloom(book, 0, hash_bytes(data, start, end)):
            if not in_bloom(book, 0, hash_bytes(data, start, end - 1)):
                return np.int64(0), True
    count = cut_run(data, start, end, flag, book, True, ALL, bounds, spare)
    again = False
    for t in range(count):
        hashes[t] = hash_bytes(data, bounds[t], bounds[t + 1])
        again |= in_bloom(book, FIRSTS, hashes[t])
    if again and count > 1:
        count = join_rules(data, count, book, hashes, 0, bounds, spare)
    begun = np.int64(0)
    for t in range(count):
        i, stop = bounds[t], bounds[t + 1]
        _, width, flags = char_at(data, i, stop, flag)
        if i + width == stop and flags & SENTENCE_END:
            pending = True
            continue
        punct = True
        while punct and i < stop:
            _, width, flags = char_at(data, i, stop, flag)
            punct = flags & PUNCT != 0
            i += width
        if pending and not punct:
            begun += 1
            pending = False
    return begun, pending


@njit(inline="always")
def _by_spacy(data, tail, start, end, flag, book, hashes, bounds, spare, cache):  # type: ignore[no-untyped-def]
    """Sentences of one line that are not blank, by spaCy's sentencizer."""
    if strip_left(data, start, end, flag) == end:
        return 0
    sentences, pending = np.int64(1), start < 0
    i = start  # never inside a run
    while i < end:
        if not pending:
            mark = next_mark(data, tail, i, end, flag)
            if mark == end:
                break
            stop = _run_end(data, mark, end, flag)
            begin = mark
            while begin > i:
                _, width, flags = char_before(data, i, begin, flag)
                if flags & SPACE:
                    break
                begin -= width
        else:
            begin = strip_left(data, i, end, flag)
            if begin == end:
                break
            # white space that is a token, or a run whose first token is more than punctuation
            if (
                begin - i > 1
                or (begin > i and data[i] != 0x20)
                or (not char_at(data, begin, end, flag)[2] & (PUNCT | SENTENCE_END))
            ):
                sentences += 1
                pending = False
                i = begin
                continue
            stop = _run_end(data, begin, end, flag)
        # runs repeat: a row of the cache holds a run's hash, and what it does where none is pending
        row, value = np.int64(0), _ZERO
        keep = not pending and stop - begin <= 64
        if keep:
            value = hash_bytes(data, begin, stop)
            row = np.int64(value >> _CACHE_SHIFT) * 2
        if keep and cache[row] == value:
            begun, pending = np.int64(cache[row + 1] >> _ONE), cache[row + 1] & _ONE != _ZERO
        else:
            begun, pending = _run(data, begin, stop, flag, book, hashes, bounds, spare, pending)
            if keep:
                cache[row] = value
                cache[row + 1] = np.uint64(begun) << _ONE | np.uint64(pending)
        sentences += begun
        i = stop
    return sentences


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _next_terminator(data, tail, i, end):  # type: ignore[no-untyped-def]
    """Where the first . ! ? or byte over 0x7F is, at or after i; or `end`."""
    size, shift = len(data), len(data) - (len(tail) - 64)
    for p in range(i, end, 64):
        source, k = data, p
        if p + 64 > size:
            source, k = tail, p - shift
        marks = byte_mask(source, k, 0, 0x2E, 1) | byte_mask(source, k, 0, 0x80, 0x80)
        marks |= byte_mask(source, k, 0, 0x21, 1) | byte_mask(source, k, 0, 0x3F, 1)
        if marks != _ZERO:
            return min(p + trailing_zeros(marks), end)
    return end


@njit(inline="always")
def _by_marks(data, tail, start, end, tables):  # type: ignore[no-untyped-def]
    """Sentences of one line by their end marks: `sentences` of family `base` for this line."""
    sentences = np.int64(0)
    i = begin = start
    while i < end:
        i = _next_terminator(data, tail, i, end)
        if i == end:
            break
        cp, width = u.decode(data, i, end)
        if u.lookup(tables, cp) & u.TERMINAL and ends_sentence(data, i, end, tables):
            sentences += _has_word(data, begin, i, tables)
            begin = i
        i += width
    return sentences + _has_word(data, begin, end, tables)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _has_word(data, i, end, tables):  # type: ignore[no-untyped-def]
    """Is there a letter or number?"""
    while i < end:
        cp, width = u.decode(data, i, end)
        if u.lookup(tables, cp) & (u.LETTER | u.NUMBER):
            return True
        i += width
    return False


@njit(cache=True, nogil=True, boundscheck=False)
def spacy_sentences(data, tail, offsets, flag, book, out):  # type: ignore[no-untyped-def]
    """out[t] (int64): sentences in the lines (split at line feeds) of text t, as spaCy counts."""
    longest = np.int64(0)
    for t in range(len(offsets) - 1):
        longest = max(longest, offsets[t + 1] - offsets[t])
    hashes = np.empty(longest + 1, np.uint64)
    bounds, spare = np.empty(longest + 2, np.int64), np.empty(3 * longest + 6, np.int64)
    cache = np.zeros(2 << _CACHE_BITS, np.uint64)
    for t in range(len(offsets) - 1):
        i, end = offsets[t], offsets[t + 1]
        out[t] = 0
        while i < end:
            stop = next_feed(data, tail, i, end)
            out[t] += _by_spacy(data, tail, i, stop, flag, book, hashes, bounds, spare, cache)
            i = stop + 1


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def marked_sentences(data, tail, offsets, tables, out):  # type: ignore[no-untyped-def]
    """out[t] (int64): sentences in the lines (split at line feeds) of text t, by end marks."""
    for t in range(len(offsets) - 1):
        i, end = offsets[t], offsets[t + 1]
        out[t] = 0
        while i < end:
            stop = next_feed(data, tail, i, end)
            out[t] += _by_marks(data, tail, i, stop, tables)
            i = stop + 1


def main() -> None:
    raw = np.frombuffer(" ".join(sys.argv[1:]).encode() or b" ", np.uint8)
    offsets, out = np.array([0, len(raw)]), np.zeros(1, np.int64)
    spacy_sentences(raw, tail_of(raw), offsets, *english(), out)
    print("spaCy", out[0])
    marked_sentences(raw, tail_of(raw), offsets, u.tables(), out)
    print("marks", out[0])


if __name__ == "__main__":
    main()
