"""RefinedWeb's line rules, as DCLM replicates them: menus, counters and buttons go.

In: a text column. Out: the cleaned texts and counts (names in COUNTS), one row a text.
Shown by: `python -m gristmill.text.line_refined "3 likes
A line of prose stays where it is."`.
Limit: the rules look at each line as it stands; DCLM strips the whole text between two rules, which
can change its first and last line.

Penedo et al. 2023 (RefinedWeb), appendix; mlfoundations/dclm, baselines/mappers/modifiers.py. A
line goes if more than half of its characters are upper case, if all are digits, if it is a counter
("3 likes"), or if it has one word. Of lines of at most ten words, "items in cart" anywhere, "Read
more..." at the end and "Sign-in" at the front are cut out. Empty lines stay. Words: str.split,
those that begin with a letter or digit.
"""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
from numba import njit

from gristmill.text import datatrove_lines as dl
from gristmill.text.chunks import text_arrays
from gristmill.text.english import DECIMAL, DIGIT, SPACE, UPPER, WORD, english
from gristmill.text.family import Family, Signals
from gristmill.text.spacy_affixes import char_at, char_before

COUNTS = (
    "lines",  # not empty
    "uppercase_lines",  # removed
    "numeric_lines",  # removed
    "counter_lines",  # removed
    "one_word_lines",  # removed: fewer than two words
    "emptied_lines",  # removed: nothing is left after a cut
    "cut_lines",  # kept, but with something cut out
    "words",
    "removed_words",
)
REMOVED = COUNTS[1:6]
LINES, UPPERCASE, NUMERIC, COUNTER, ONE_WORD, EMPTIED, CUT, WORDS, REMOVED_WORDS = range(9)
MOST_WORDS = 10  # of a line that is cut into


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


_CART, _MORE, _SIGN_IN = _bytes("items in cart"), _bytes("read more..."), _bytes("sign-in")
_COUNTED = tuple(
    _bytes(word)
    for word in (
        "likes", "shares", "comments", "retweets", "reposts", "quotes", "bookmarks", "upvotes",
        "downvotes", "downloads", "views", "followers",
    )
)  # fmt: skip


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _is_at(data, i, end, word):  # type: ignore[no-untyped-def]
    """Is the word (lower case, ASCII) at i, in any ASCII case?"""
    if i < 0 or i + len(word) > end:
        return False
    for k in range(len(word)):
        byte = data[i + k]
        if 0x41 <= byte <= 0x5A:
            byte |= 0x20
        if byte != word[k]:
            return False
    return True


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _is_counter(data, i, end, flag):  # type: ignore[no-untyped-def]
    """A number, K, M or B, white space and one of the counted things, with only signs about it."""
    while i < end and not char_at(data, i, end, flag)[2] & WORD:
        i += char_at(data, i, end, flag)[1]
    if i >= end or not char_at(data, i, end, flag)[2] & DECIMAL:
        return False
    while i < end:
        _, width, flags = char_at(data, i, end, flag)
        if not (flags & DECIMAL or data[i] == 0x2C or data[i] == 0x2E):
            break
        i += width
    if i < end and (data[i] | 0x20 == 0x6B or data[i] | 0x20 == 0x6D or data[i] | 0x20 == 0x62):
        i += 1
    spaces = i
    i = dl.strip_left(data, i, end, flag)
    if i == spaces:
        return False
    for k in range(len(_COUNTED)):
        word = _COUNTED[k]
        if _is_at(data, i, end, word):
            j = i + len(word)
            while j < end and not char_at(data, j, end, flag)[2] & WORD:
                j += char_at(data, j, end, flag)[1]
            if j == end:
                return True
    return False


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _measure(data, i, end, flag):  # type: ignore[no-untyped-def]
    """(characters, upper case, digits, words, of those with a letter or digit in front)."""
    chars = upper = digits = words = counted = 0
    inside = False
    while i < end:
        cp, width, flags = char_at(data, i, end, flag)
        chars += 1
        upper += flags & UPPER != 0
        digits += flags & DIGIT != 0
        if flags & SPACE:
            inside = False
        elif not inside:
            inside = True
            words += 1
            counted += flags & WORD != 0 and cp != 0x5F
        i += width
    return chars, upper, digits, words, counted


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _cut(data, start, end, words, out, at, view, flag):  # type: ignore[no-untyped-def]
    """Copy a line to out[at:] without the phrases; (where it ends there, was anything cut)."""
    begin, cut = at, False
    i = start
    while i < end:
        if words <= MOST_WORDS and _is_at(data, i, end, _CART):
            cut = True
            while at > begin:  # one white space before it goes too
                _, width, flags = char_before(view, begin, at, flag)
                if flags & SPACE:
                    at -= width
                break
            i += len(_CART)
        else:
            out[at] = data[i]
            at += 1
            i += 1
    if (
        words <= MOST_WORDS
        and _is_at(view, at - len(_MORE), at, _MORE)
        and at - len(_MORE) >= begin
    ):
        cut = True
        at -= len(_MORE)
        if at > begin:
            _, width, flags = char_before(view, begin, at, flag)
            if flags & SPACE:
                at -= width
    if words <= MOST_WORDS and _is_at(view, begin, at, _SIGN_IN):
        cut = True
        i = begin + len(_SIGN_IN)
        if i < at:
            _, width, flags = char_at(view, i, at, flag)
            if flags & SPACE:
                i += width
        for k in range(i, at):
            out[begin + k - i] = view[k]
        at -= i - begin
    return at, cut


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _clean(data, tail, offsets, flag, out, view, ends, counts):  # type: ignore[no-untyped-def]
    """Write the texts' kept lines to `out`, where text i ends at ends[i + 1]; fill counts.

    `view` is `out`, read-only.
    """
    at = np.int64(0)
    for row in range(len(offsets) - 1):
        start, end = offsets[row], offsets[row + 1]
        begin = at
        first = True
        kept_words = np.int64(0)
        while start < end:
            stop = dl.next_feed(data, tail, start, end)
            i, start = start, stop + 1
            where = at if first else at + 1
            line_end, counted = where, 0
            if i < stop:
                counts[LINES, row] += 1
                chars, upper, digits, words, counted = _measure(data, i, stop, flag)
                counts[WORDS, row] += counted
                reason = 0
                if 2 * upper > chars:
                    reason = UPPERCASE
                elif digits == chars:
                    reason = NUMERIC
                elif _is_counter(data, i, stop, flag):
                    reason = COUNTER
                elif words < 2:
                    reason = ONE_WORD
                if reason:
                    counts[reason, row] += 1
                    continue
                line_end, cut = _cut(data, i, stop, words, out, where, view, flag)
                if cut:
                    if dl.strip_left(view, where, line_end, flag) == line_end:
                        counts[EMPTIED, row] += 1
                        continue
                    counts[CUT, row] += 1
                    counted = _measure(view, where, line_end, flag)[4]
            if not first:
                out[at] = 0x0A
            first = False
            at = line_end
            kept_words += counted
        counts[REMOVED_WORDS, row] = counts[WORDS, row] - kept_words
        left = dl.strip_left(view, begin, at, flag)
        at = dl.strip_right(view, left, at, flag)
        for k in range(left, at):
            out[begin + k - left] = view[k]
        at -= left - begin
        ends[row + 1] = at


def clean_refined(column: pa.Array | pa.ChunkedArray) -> tuple[pa.Array, Signals]:
    """The texts with the lines that RefinedWeb keeps (large_string), and the counts of COUNTS."""
    data, offsets = text_arrays(column)
    size = len(offsets) - 1
    # one line feed more than the text, where the last line ends without one
    out = np.empty(int(offsets[-1] - offsets[0]) + size + 128, np.uint8)
    view = out.view()
    view.flags.writeable = False
    ends = np.zeros(size + 1, np.int64)
    counts = np.zeros((len(COUNTS), size), np.int64)
    _clean(data, dl.tail_of(data), offsets, english().flags, out, view, ends, counts)
    texts = pa.LargeStringArray.from_buffers(
        size, pa.py_buffer(ends), pa.py_buffer(out[: ends[-1]])
    )
    return texts, dict(zip(COUNTS, counts, strict=True))


def _signals(column: pa.Array | pa.ChunkedArray) -> Signals:
    counts = clean_refined(column)[1]
    return {name: counts[name.removeprefix("refinedweb_")] for name in NAMES}


NAMES = ("refinedweb_words", "refinedweb_removed_words")
FAMILIES = {"refinedweb": Family(NAMES, _signals)}


if __name__ == "__main__":
    texts, counts = clean_refined(pa.array(sys.argv[1:2]))
    print(texts[0], {name: int(values[0]) for name, values in counts.items()}, sep="\n")
