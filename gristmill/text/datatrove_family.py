"""Signals as datatrove 0.10 counts them: for the dialects `@datatrove-0.10` of Gopher and FineWeb.

In: a text column. Out: families `datatrove` (Gopher's quality, repetition), `datatrove_fineweb`.
Shown by: `python -m gristmill.text.signals "One sentence, and another one."`.
Limit: words are those of datatrove's default tokeniser, English, whatever the text's language.

Definitions: datatrove 0.10.1, pipeline/filters/{gopher_quality,gopher_repetition,fineweb_quality}_
filter.py. Lengths are code points. Where they differ from the papers': docs/DIALECTS.md.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import numpy as np
import pyarrow as pa
from numba import njit

from gristmill.text import datatrove_lines as dl
from gristmill.text import spacy_runs as runs
from gristmill.text.chunks import Bytes, Offsets, chunks, text_arrays
from gristmill.text.english import english
from gristmill.text.family import Family, Signals
from gristmill.text.repetition import DUPLICATE_NGRAMS, TOP_NGRAMS, group_equal
from gristmill.text.spacy_like import scratch_for, tokenise
from gristmill.text.token_repetition import token_repetition
from gristmill.text.words import hash_bytes


def _named(*names: str) -> tuple[str, ...]:
    return tuple(f"datatrove_{name}" for name in names)


OF_WORDS = _named(
    "words",  # tokens, punctuation among them
    "counted_words",  # tokens that are not punctuation only
    "counted_word_chars",
    "alpha_words",  # tokens with a letter
    "stop_words",  # different ones of Gopher's eight, lower case
    *(f"top_{n}gram_chars" for n in TOP_NGRAMS),  # joined by spaces
    *(f"duplicate_{n}gram_chars" for n in DUPLICATE_NGRAMS),  # joined by nothing
)
OF_LINES = _named(
    "chars",
    "hash_symbols",
    "ellipses",
    "lines",  # of str.splitlines
    "bullet_lines",
    "ellipsis_lines",
    "split_lines",  # pieces between runs of line feeds
    "duplicate_lines",  # of those, equal to an earlier one
    "duplicate_line_chars",
    "paragraphs",  # of the stripped text, between two line feeds and more
    "duplicate_paragraphs",
    "duplicate_paragraph_chars",
)
OF_FINEWEB_LINES = _named(
    "newlines",
    "chars_in_lines",  # without line feeds
    "nonblank_lines",
    "terminal_lines",  # of those, the last character is a terminal mark
    "short_lines",  # of those, 30 characters or fewer
    "duplicate_nonblank_line_chars",
)
GOPHER = (*OF_WORDS, *OF_LINES)
FINEWEB = (*OF_WORDS[:1], *OF_FINEWEB_LINES)


@njit(cache=True, nogil=True, boundscheck=False)
def _count_lines(data, tail, offsets, flag, gopher, out):  # type: ignore[no-untyped-def]
    """Fill out[signal, text]: the names in OF_LINES or, if not `gopher`, in OF_FINEWEB_LINES."""
    longest = np.int64(16)
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row] + 1)
    slots = np.int64(16)
    while slots < 2 * longest:
        slots *= 2
    # sized for a text of line feeds; what is not touched is never allocated by the system
    codes, lengths = np.empty(longest, np.uint64), np.empty(longest, np.int32)
    first, times = np.empty(longest, np.int32), np.empty(longest, np.int32)
    table, scanned = np.empty(slots, np.int32), np.empty(6, np.int64)
    for row in range(len(offsets) - 1):
        start, end = offsets[row], offsets[row + 1]
        dl.scan_bytes(data, tail, start, end, scanned)
        plain = scanned[dl.CHARS] == end - start
        lines, nonblank, terminal, short, bullets, ellipses = _lines(
            data, tail, start, end, flag, plain, gopher, codes, lengths
        )
        group_equal(codes, lines, first, times, table)
        later = later_chars = later_nonblank = np.int64(0)
        for k in range(lines):
            if first[k] != k:
                later += 1
                later_chars += abs(lengths[k])
                later_nonblank += max(lengths[k], 0)
        if not gopher:
            found = (
                scanned[dl.FEEDS], scanned[dl.CHARS] - scanned[dl.FEEDS],
                nonblank, terminal, short, later_nonblank,
            )  # fmt: skip
            for k in range(len(found)):
                out[k, row] = found[k]
            continue
        broken = scanned[dl.FEEDS]
        if end > start:
            # re.split gives an empty piece before a first line feed and after a last one
            edges = np.int64(data[start] == 0x0A) + np.int64(data[end - 1] == 0x0A)
            lines += edges
            later += edges == 2
            broken += data[end - 1] != 0x0A
        if scanned[dl.OTHER_BREAKS]:
            broken, bullets, ellipses = _broken_lines(data, start, end, flag)
        parts, later_parts, later_part_chars = np.int64(1), np.int64(0), np.int64(0)
        if scanned[dl.BLANK_FEEDS]:
            parts = _paragraphs(data, tail, start, end, flag, codes, lengths)
            group_equal(codes, parts, first, times, table)
            for k in range(parts):
                if first[k] != k:
                    later_parts += 1
                    later_part_chars += lengths[k]
        seen = (
            scanned[dl.CHARS], scanned[dl.HASHES], scanned[dl.ELLIPSES], broken, bullets, ellipses,
            lines, later, later_chars, parts, later_parts, later_part_chars,
        )  # fmt: skip
        for k in range(len(seen)):
            out[k, row] = seen[k]


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _lines(data, tail, start, end, flag, plain, gopher, codes, lengths):  # type: ignore[no-untyped-def]
    """Hash and length of every line that is not empty; a blank line's length is negative.

    Returns how many, and of those that are not blank: all, terminal, short; bullets and ellipses
    at their ends.
    """
    count = nonblank = terminal = short = bullets = ellipses = np.int64(0)
    while start < end:
        stop = dl.next_feed(data, tail, start, end)
        if stop > start:
            length = stop - start
            if not plain:
                length = dl.count_chars(data, tail, start, stop)
            codes[count] = hash_bytes(data, start, stop)
            lengths[count] = length
            # most lines begin with a visible ASCII character
            if 0x20 < data[start] < 0x7F or dl.strip_left(data, start, stop, flag) < stop:
                nonblank += 1
                if gopher:
                    bullet, ellipsis = dl.line_marks(data, start, stop, flag)
                    bullets += bullet
                    ellipses += ellipsis
                else:
                    terminal += dl.is_terminal(data, start, stop, flag)
                    short += length <= dl.SHORT_LINE
            else:
                lengths[count] = -length
            count += 1
        start = stop + 1
    return count, nonblank, terminal, short, bullets, ellipses


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _broken_lines(data, start, end, flag):  # type: ignore[no-untyped-def]
    """Lines of str.splitlines, and of those bullet and ellipsis lines."""
    lines = bullets = ellipses = np.int64(0)
    while start < end:
        stop, then = dl.next_break(data, start, end, flag)
        bullet, ellipsis = dl.line_marks(data, start, stop, flag)
        lines += 1
        bullets += bullet
        ellipses += ellipsis
        start = then
    return lines, bullets, ellipses


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _paragraphs(data, tail, start, end, flag, codes, lengths):  # type: ignore[no-untyped-def]
    """Hash and length of every paragraph of the stripped text; how many (an empty text has one)."""
    start = dl.strip_left(data, start, end, flag)
    end = dl.strip_right(data, start, end, flag)
    count = np.int64(0)
    i = start
    while True:
        stop = dl.next_feed(data, tail, i, end)
        if stop < end and data[stop + 1] != 0x0A:
            i = stop + 1
            continue
        codes[count] = hash_bytes(data, start, stop)
        lengths[count] = dl.count_chars(data, tail, start, stop)
        count += 1
        if stop >= end:
            return count
        while data[stop] == 0x0A:  # the stripped text ends with something else
            stop += 1
        start = i = stop


def _words(data: Bytes, offsets: Offsets, gopher: bool, out: Offsets) -> None:
    """Fill the signals of words and, with `gopher`, of n-grams: out[signal, text]."""
    texts = len(offsets) - 1
    longest, room = int(np.diff(offsets).max(initial=0)), int(offsets[-1] - offsets[0]) + 1
    hashes, chars = np.empty(room, np.uint64), np.empty(room + 1, np.int32)
    tokens, counts = np.empty(texts + 1, np.int64), np.empty((texts, runs.COUNTS), np.int64)
    cache = np.zeros(runs.CACHE_SIZE, np.uint64)
    tokenise(data, offsets, *english(), hashes, chars, scratch_for(longest), cache, tokens, counts)
    out[0] = np.diff(tokens)
    if gopher:
        out[1:4] = counts[:, [runs.COUNTED_WORDS, runs.COUNTED_CHARS, runs.ALPHA_WORDS]].T
        out[4] = np.bitwise_count(counts[:, runs.STOP_MASK])
        token_repetition(hashes, chars, tokens, 1, True, out[5:])


def compute(column: pa.Array | pa.ChunkedArray, families: Collection[str]) -> Signals:
    """The signals of one or both families; both at once cut the text into words but once."""
    data, offsets = text_arrays(column)
    gopher, fineweb = "datatrove" in families, "datatrove_fineweb" in families
    names = OF_WORDS if gopher else OF_WORDS[:1]
    # one column more than texts: so that the slices are of one kind to numba, never contiguous
    of_words = np.zeros((len(names), len(offsets)), np.int64)
    of_lines = np.zeros((len(OF_LINES), len(offsets)), np.int64)
    of_fineweb = np.zeros((len(OF_FINEWEB_LINES), len(offsets)), np.int64)
    tail, flag = dl.tail_of(data), english().flags
    for low, high in chunks(offsets):
        part = offsets[low : high + 1]
        _words(data, part, gopher, of_words[:, low:high])
        if gopher:
            _count_lines(data, tail, part, flag, True, of_lines[:, low:high])
        if fineweb:
            _count_lines(data, tail, part, flag, False, of_fineweb[:, low:high])
    found = dict(zip(names, of_words[:, :-1], strict=True))
    if gopher:
        found |= zip(OF_LINES, of_lines[:, :-1], strict=True)
    if fineweb:
        found |= zip(OF_FINEWEB_LINES, of_fineweb[:, :-1], strict=True)
    return found


FAMILIES = {
    "datatrove": Family(GOPHER, partial(compute, families=("datatrove",))),
    "datatrove_fineweb": Family(FINEWEB, partial(compute, families=("datatrove_fineweb",))),
}
