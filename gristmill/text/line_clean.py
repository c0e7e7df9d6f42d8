"""C4's line rules: which lines of a page stay, what was removed and why, how many sentences stay.

In: a text column and a C4Rules. Out: the cleaned texts and counts (names in COUNTS), a row a text.
Shown by: `python -m gristmill.text.line_clean "Menu
This line has enough words and ends well."`.
Limit: bad words are not looked for; sentences are counted by rule (line_sentences.py).

The order is that of TensorFlow Datasets' c4_utils.clean_page, which datatrove follows: too long a
word; citations taken out; no end mark; too few words; "javascript"; phrases of policies. Lines that
come so far count if they hold "lorem ipsum" or "{": rules on the page drop it then.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from gristmill.text import datatrove_lines as dl
from gristmill.text import unicode as u
from gristmill.text.chunks import text_arrays
from gristmill.text.english import DECIMAL, SPACE, english
from gristmill.text.family import Family, Signals
from gristmill.text.line_sentences import marked_sentences, spacy_sentences
from gristmill.text.phrases import JAVASCRIPT, LOREM_IPSUM, POLICY, has_byte, phrases
from gristmill.text.simd import byte_mask, low_bits, trailing_zeros
from gristmill.text.spacy_affixes import char_at

COUNTS = (
    "lines",  # not blank
    "long_word_lines",  # removed: a word is longer than max_word_length
    "unterminated_lines",  # removed: no end mark, or an ellipsis
    "few_word_lines",  # removed
    "javascript_lines",  # removed
    "policy_lines",  # removed
    "lorem_ipsum_lines",  # a reason to drop the page
    "curly_lines",  # with "{": a reason to drop the page
    "citations",  # taken out of lines
    "kept_lines",
    "sentences",  # in the kept lines
)
REMOVED = COUNTS[1:6]
(
    LINES, LONG, UNTERMINATED, FEW, SCRIPT, POLICIES, LOREM, CURLY, CITATIONS, KEPT, SENTENCES,
) = range(11)  # fmt: skip

_EDIT = np.frombuffer(b"[edit]", np.uint8)
_NEEDED = np.frombuffer(b"[citation needed]", np.uint8)


@dataclass(frozen=True, slots=True)
class C4Rules:
    """What a dialect of C4's line rules asks. A limit below 0, or an empty string, asks nothing."""

    end_marks: str = '.?!"'  # a kept line ends with one of these …
    ellipsis_ends: bool = False  # … but, unless this is set, not with "..."
    min_words: int = 5
    words_with_citations: bool = False  # words are counted before citations are taken out
    max_word_length: int = 1000  # code points
    citations: bool = True  # take out "[1]", "[edit]", "[citation needed]"
    javascript: bool = True  # remove lines with this word
    policy: bool = True  # remove lines with phrases such as "uses cookies"
    strip: bool = True  # split as str.splitlines does and strip; else split at "\n", lines as is
    sentences: Literal["marks", "spacy", "none"] = "marks"

    def packed(self) -> tuple[int, ...]:
        """All but the end marks, for the kernel."""
        return (
            int(self.ellipsis_ends),
            self.min_words,
            int(self.words_with_citations),
            self.max_word_length,
            int(self.citations),
            int(self.javascript),
            int(self.policy),
            int(self.strip),
        )

    def marks(self) -> npt.NDArray[np.bool_]:
        """[256]: is the byte an end mark? None is: end marks are not asked."""
        found = np.zeros(256, np.bool_)
        found[list(self.end_marks.encode("ascii"))] = True
        return found


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _line_end(data, tail, i, end, flag):  # type: ignore[no-untyped-def]
    """(where the line at i ends, where the next begins), as str.splitlines has it."""
    size, shift = len(data), len(data) - (len(tail) - 64)
    for p in range(i, end, 64):
        source, k = data, p
        if p + 64 > size:
            source, k = tail, p - shift
        places = byte_mask(source, k, 0, 0x0A, 4) | byte_mask(source, k, 0, 0x1C, 3)
        places |= byte_mask(source, k, 0, 0xC2, 1) | byte_mask(source, k, 0, 0xE2, 1)
        places &= low_bits(end - p)
        while places != 0:
            j = p + trailing_zeros(places)
            places &= places - np.uint64(1)
            if data[j] == 0x0A:
                return j, j + 1
            stop, then = dl.next_break(data, j, min(j + 4, end), flag)
            if stop == j:
                return stop, then
    return end, end


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _words(data, i, end, most, flag):  # type: ignore[no-untyped-def]
    """(words, the longest in code points) of a line; stops at `most` words if that is over 0."""
    words, longest, length = 0, 0, 0
    while i < end:
        _, width, flags = char_at(data, i, end, flag)
        if flags & SPACE:
            length = 0
        else:
            words += length == 0
            if words == most:
                return words, longest
            length += 1
            longest = max(longest, length)
        i += width
    return words, longest


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _citation(data, i, end, flag):  # type: ignore[no-untyped-def]
    """Bytes of the citation that begins with the bracket at i; 0 for none."""
    for text in (_EDIT, _NEEDED):
        if i + len(text) <= end:
            same = True
            for k in range(len(text)):
                same &= data[i + k] == text[k]
            if same:
                return len(text)
    j = i + 1
    while j < end:
        _, width, flags = char_at(data, j, end, flag)
        if not flags & DECIMAL:
            break
        j += width
    return j + 1 - i if j < end and data[j] == 0x5D else 0


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _copy(data, start, end, out, at):  # type: ignore[no-untyped-def]
    for i in range(start, end):
        out[at + i - start] = data[i]
    return at + end - start


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _without_citations(data, start, end, out, at, flag):  # type: ignore[no-untyped-def]
    """Copy a line without its citations to out[at:]; (where it ends there, citations)."""
    found = 0
    i = start
    while i < end:
        length = _citation(data, i, end, flag) if data[i] == 0x5B else 0
        if length:
            found += 1
            i += length
        else:
            out[at] = data[i]
            at += 1
            i += 1
    return at, found


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _clean(data, tail, offsets, flag, marks, rules, out, view, ends, counts):  # type: ignore[no-untyped-def]
    """Write the texts' kept lines to `out`, where text i ends at ends[i + 1]; fill counts.

    `view` is `out`, read-only: so lines of both are read by the same compiled functions. It has 128
    bytes more than are ever written, so that its tail is never asked for.
    """
    (
        ellipsis_ends, min_words, words_with_citations, max_word, citations,
        javascript, policy, strip,
    ) = rules  # fmt: skip
    asked = marks.any()
    at = np.int64(0)
    for row in range(len(offsets) - 1):
        start, end = offsets[row], offsets[row + 1]
        begin = at
        held = phrases(data, tail, start, end)
        curly = has_byte(data, tail, start, end, 0x7B)
        brackets = citations and has_byte(data, tail, start, end, 0x5B)
        first = True
        while start < end:
            if strip:
                stop, then = _line_end(data, tail, start, end, flag)
                a = dl.strip_left(data, start, stop, flag)
                b = dl.strip_right(data, a, stop, flag)
            else:
                stop = dl.next_feed(data, tail, start, end)
                then = min(stop + 1, end)
                a, b = dl.strip_left(data, start, stop, flag), stop
                b = dl.strip_right(data, a, stop, flag)
            raw = start
            start = then
            blank = a == b
            counts[LINES, row] += not blank
            if max_word >= 0 and b - a > max_word:
                if _words(data, a, b, 0, flag)[1] > max_word:
                    counts[LONG, row] += 1
                    continue
            words = 0
            if words_with_citations:
                words = _words(data, a, b, min_words, flag)[0]
            source = data
            copied = False
            line_held = held
            where = at if first or not strip else at + 1  # behind the line feed to come
            if brackets and has_byte(data, tail, a, b, 0x5B):
                stop, found = _without_citations(data, a, b, out, where, flag)
                if found:
                    counts[CITATIONS, row] += found
                    source, a, b, copied = view, where, stop, True
                    line_held = -1  # taking a citation out may join a phrase
            if asked:
                ended = b > a and marks[source[b - 1]]
                if ended and not ellipsis_ends and source[b - 1] == 0x2E and b - a >= 3:
                    ended = source[b - 2] != 0x2E or source[b - 3] != 0x2E
                if not ended:
                    counts[UNTERMINATED, row] += not blank
                    continue
            if not words_with_citations:
                words = _words(source, a, b, min_words, flag)[0]
            if words < min_words:
                counts[FEW, row] += not blank
                continue
            if line_held:
                line_held = phrases(source, tail, a, b)
            counts[LOREM, row] += line_held & LOREM_IPSUM != 0
            if javascript and line_held & JAVASCRIPT:
                counts[SCRIPT, row] += 1
                continue
            counts[CURLY, row] += curly and has_byte(source, tail, a, b, 0x7B)
            if policy and line_held & POLICY:
                counts[POLICIES, row] += 1
                continue
            counts[KEPT, row] += 1
            if not strip:
                at = _copy(data, raw, then, out, at)
                continue
            if not first:
                out[at] = 0x0A
            first = False
            at = b if copied else _copy(data, a, b, out, where)
        if strip:
            left = dl.strip_left(view, begin, at, flag)
            at = dl.strip_right(view, left, at, flag)
            if left > begin:
                at = _copy(view, left, at, out, begin)
        ends[row + 1] = at


def clean_lines(column: pa.Array | pa.ChunkedArray, rules: C4Rules) -> tuple[pa.Array, Signals]:
    """The texts with only the lines that `rules` keep (large_string), and the counts of COUNTS.

    A null counts as empty text.
    """
    data, offsets = text_arrays(column)
    size = len(offsets) - 1
    out = np.empty(int(offsets[-1] - offsets[0]) + 128, np.uint8)
    view = out.view()
    view.flags.writeable = False
    ends = np.zeros(size + 1, np.int64)
    counts = np.zeros((len(COUNTS), size), np.int64)
    flags, book = english()
    tail = dl.tail_of(data)
    _clean(data, tail, offsets, flags, rules.marks(), rules.packed(), out, view, ends, counts)
    if rules.sentences == "spacy":
        spacy_sentences(view, tail, ends, flags, book, counts[SENTENCES])
    elif rules.sentences == "marks":
        marked_sentences(view, tail, ends, u.tables(), counts[SENTENCES])
    texts = pa.LargeStringArray.from_buffers(
        size, pa.py_buffer(ends), pa.py_buffer(out[: ends[-1]])
    )
    return texts, dict(zip(COUNTS, counts, strict=True))


def _signals(column: pa.Array | pa.ChunkedArray) -> Signals:
    counts = clean_lines(column, DATATROVE)[1]
    return {name: counts[name.removeprefix("c4_datatrove_")] for name in NAMES}


# TensorFlow Datasets' c4_utils; datatrove 0.10.1's C4QualityFilter, and FineWeb's use of it;
# dolma 1.2.1's c4_v2 under c4-replication/mixer.yaml
PAPER = C4Rules()
DATATROVE = C4Rules(end_marks=".?!\"'", min_words=3, words_with_citations=True, sentences="spacy")
FINEWEB = replace(DATATROVE, end_marks="")
DOLMA = C4Rules(
    ellipsis_ends=True, min_words=3, max_word_length=-1, citations=False, javascript=False,
    policy=False, strip=False, sentences="none",
)  # fmt: skip
NAMES = tuple(f"c4_datatrove_{name}" for name in ("lorem_ipsum_lines", "curly_lines", "sentences"))
FAMILIES = {"c4_datatrove": Family(NAMES, _signals)}


if __name__ == "__main__":
    texts, counts = clean_lines(pa.array(sys.argv[1:2]), C4Rules())
    print(texts[0], {name: int(values[0]) for name, values in counts.items()}, sep="\n")
