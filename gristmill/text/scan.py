"""The one pass over a text that all counts of family `base` and all word hashes come from.

In: the bytes of one document. Out: a row of counts (as signal_table.BASE), and, for repetition.py,
the hash and the length of every word, line and paragraph.
Shown by: `python -m gristmill.text.signals "Some text."`.
Limit: compiled on first use (some seconds, then cached on disk by numba).

The text is walked in blocks of 64 bytes and, inside a block, in pieces that end at a line feed.
A class of characters is a 64-bit mask, a count is a population count; only words, line ends and
rare places (lines.py) are looked at one by one.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gristmill.text import lines, segments
from gristmill.text.hashing import FIRST, NEXT, SEED, combine, hash_bytes, hash_end, hash_round
from gristmill.text.simd import (
    byte_mask,
    leading_zeros,
    load64,
    low_bits,
    popcount,
    trailing_zeros,
)
from gristmill.text.unicode import decode

# Gopher's eight (Rae et al. 2021, A1.1)
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")

SHORT_LINE = 30  # FineWeb (Penedo et al. 2024)

_ALL = np.uint64((1 << 64) - 1)
_ZERO, _ONE, _63 = np.uint64(0), np.uint64(1), np.uint64(63)
_SEED = np.uint64(SEED)

# found by trial: sends the eight words, as little-endian integers, to eight of sixteen slots
_STOP_MULTIPLIER = np.uint64(0x411B6F962E8B1E79)
_60 = np.uint64(60)
_FOLD = np.uint64(0x2020202020202020)
_STOP_KEYS = np.zeros(16, np.uint64)
for _word in STOP_WORDS:
    _key = int.from_bytes(_word.encode(), "little")
    _STOP_KEYS[(_key * int(_STOP_MULTIPLIER) & (1 << 64) - 1) >> 60] = _key


@njit(inline="always")
def _from_lowest(mask):  # type: ignore[no-untyped-def]
    """The lowest set bit and all above it; none for an empty mask."""
    return ~(mask & (~mask + _ONE)) + _ONE


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def scan(  # type: ignore[no-untyped-def]
    data, tail, start, end, tables, out, row, keep, hashes, lengths, line_hashes, line_lengths,
    paragraph_hashes, paragraph_lengths,
):  # fmt: skip
    """Count one document, data[start:end], into out[:, row].

    With `keep`, also fills the hash and length (characters) of every word, of every line that is
    not blank and of every paragraph; the arrays must be large enough (`room`). `tail`: the last 64
    bytes of data (all, if fewer) and 64 zeros. Returns how many (words, lines, paragraphs).
    """
    size, shift = len(data), len(data) - (len(tail) - 64)
    n_chars = n_space = n_alphabetic = n_upper = n_digits = n_others = np.int64(0)
    n_words = word_chars = longest_word = alpha_words = stop_hits = stop_set = np.int64(0)
    n_hash = n_ellipses = n_curly = n_parentheses = n_newlines = n_lines = np.int64(0)
    n_nonblank = line_chars = longest_line = n_bullet = n_ellipsis = n_terminal = np.int64(0)
    n_c4 = n_fineweb = n_short = n_one_word = n_uppercase = n_numeric = n_javascript = np.int64(0)
    n_policy = n_lorem = n_sentences = n_urls = url_chars = np.int64(0)
    n_paragraphs = open_paragraph = np.int64(0)
    paragraph_hash = _ZERO
    # the word that is open: its first byte, its bits in this block, what it had in blocks before
    begin = open_chars = np.int64(0)
    open_bits = open_alnum = open_alphabetic = _ZERO
    # the line that is open: its first and last character that is not space, and its own counts
    line_first = line_last = np.int64(-1)
    first_char = last_char = line_upper = line_alphabetic = line_digits = words_before = np.int64(0)
    javascript = policy = False
    pending = False  # a letter or number since the last end of a sentence
    dots_until = url_until = np.int64(0)
    before, skip, piece_chars, joins = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for p in range(start, end + 1, 64):
        # the last block holds at least one position past the end: what is open is closed there
        inside = low_bits(end - p)
        source, i = data, p
        if p + 64 > size:
            source, i = tail, p - shift
        feeds = byte_mask(source, i, 0, 0x0A, 1) & inside
        dots = byte_mask(source, i, 0, 0x2E, 1) & inside
        spaces = (byte_mask(source, i, 0, 0x20, 1) | byte_mask(source, i, 0, 0x09, 5)) & inside
        rare = lines.rare_mask(source, i, dots, spaces) & inside
        n_newlines += popcount(feeds)
        n_hash += popcount(byte_mask(source, i, 0, 0x23, 1) & inside)
        curly = byte_mask(source, i, 0, 0x7B, 1) | byte_mask(source, i, 0, 0x7D, 1)
        n_curly += popcount(curly & inside)
        square = byte_mask(source, i, 0, 0x5B, 1) | byte_mask(source, i, 0, 0x5D, 1)
        n_parentheses += popcount((curly | square | byte_mask(source, i, 0, 0x28, 2)) & inside)
        carry = np.uint64(before != segments.NONE)
        high = byte_mask(source, i, 0, 0x80, 0x80) & inside
        digits = byte_mask(source, i, 0, 0x30, 10) & inside
        upper = byte_mask(source, i, 0, 0x41, 26) & inside
        alphabetic = byte_mask(source, i, 0x20, 0x61, 26) & inside
        stops = (byte_mask(source, i, 0, 0x21, 1) | byte_mask(source, i, 0, 0x3F, 1)) & inside
        chars, space, terminal = inside & ~high, spaces, dots | stops
        alnum = alphabetic | digits
        others = chars & ~(alnum | spaces)
        ellipsis, angles = _ZERO, _ZERO
        bitwise = before != segments.HEBREW
        letters, numbers, joined, alone, force = alphabetic, digits, _ZERO, _ZERO, _ZERO
        then = skip
        if high != _ZERO:
            bitwise, letters, numbers, joined, alone, force, more, then = segments.add_others(
                data, p, end, high, alphabetic, digits, before, skip, tables
            )
            chars, alnum, alphabetic = chars | more[0], alnum | more[1], alphabetic | more[2]
            upper, digits, space = upper | more[3], digits | more[4], space | more[5]
            others, terminal = others | more[6], terminal | more[7]
            ellipsis, angles = more[8], more[9]
        if bitwise:
            word, force, before = segments.block_words(
                data, source, i, p, end, inside, letters, numbers, dots, joined, alone, force,
                before, skip, tables,
            )  # fmt: skip
            skip = then
        else:
            masks, (before, skip, piece_chars, joins) = segments.any_words(
                data, p, end, (before, skip, piece_chars, joins), tables
            )
            (word, force, chars, alnum, alphabetic, upper, digits, space, others, terminal,
             ellipsis, angles) = masks  # fmt: skip
        n_ellipses += popcount(ellipsis)
        n_parentheses += popcount(angles)

        starts = word & (force | ~(word << _ONE | carry))
        ends = (word << _ONE | carry) & (force | ~word)
        open_bits = _ALL
        if carry == _ZERO:
            begin = p + trailing_zeros(starts)
            open_bits = _from_lowest(starts)
            starts &= starts - _ONE
        left = inside
        if end - p < 64 and start < end and data[end - 1] != 0x0A:
            feeds |= _ONE << np.uint64(end - p)
            left |= feeds
        visible = chars & ~space
        while left != _ZERO:
            feed = feeds & (~feeds + _ONE)
            piece = left & (feed | (feed - _ONE))  # up to the line feed, or all that is left
            left &= ~piece
            feeds &= feeds - _ONE

            last = ends & piece
            while last != _ZERO:
                finish = p + trailing_zeros(last)
                bits = open_bits & ~last & (last - _ONE)
                last &= last - _ONE
                if (alnum & bits) | open_alnum != _ZERO:
                    length = popcount(chars & bits) + open_chars
                    width = finish - begin
                    here = np.uint64(n_words)  # unsigned: no check for a negative index
                    if begin + 16 <= size and width <= 16:
                        mask = FIRST[np.uint64(width)]
                        key = load64(data, begin) & mask
                        if keep:
                            rest = load64(data, begin + 8) & NEXT[np.uint64(width)]
                            code = hash_round(_SEED, key, rest)
                            hashes[here] = hash_end(code, np.uint64(width))
                        key |= _FOLD & mask
                    else:
                        key = _ZERO
                        for j in range(min(width, 5)):
                            key |= np.uint64(data[begin + j] | 0x20) << np.uint64(8 * j)
                        if keep:
                            hashes[here] = hash_bytes(data, begin, finish)
                    if keep:
                        lengths[here] = length
                    n_words += 1
                    word_chars += length
                    longest_word = max(longest_word, length)
                    alpha_words += (alphabetic & bits) | open_alphabetic != _ZERO
                    # a stop word has at most four bytes, so that no longer word equals one
                    slot = (key * _STOP_MULTIPLIER) >> _60
                    hit = np.int64(_STOP_KEYS[slot] == key)
                    stop_hits += hit
                    stop_set |= hit << np.int64(slot)
                begin = p + trailing_zeros(starts)
                open_bits = _from_lowest(starts)
                starts &= starts - _ONE
                open_chars, open_alnum, open_alphabetic = np.int64(0), _ZERO, _ZERO

            places = rare & piece
            while places != _ZERO:
                j = p + trailing_zeros(places)
                places &= places - _ONE
                byte = data[j]
                if byte == 0x2E:
                    if j < dots_until:
                        continue
                elif (byte == 0x3A or byte | 0x20 == 0x77) and j < url_until:
                    continue
                kind, count, then = lines.rare_place(data, j, start, end, tables)
                if kind == lines.ELLIPSES:
                    n_ellipses += count
                    dots_until = then
                elif kind == lines.URL:
                    n_urls += 1
                    url_chars += count
                    url_until = then
                elif kind == lines.JAVASCRIPT:
                    javascript = True
                elif kind == lines.POLICY:
                    policy = True
                n_lorem += kind == lines.LOREM_IPSUM

            letters = alnum & piece
            stops = terminal & piece
            while stops != _ZERO:
                k = trailing_zeros(stops)
                stops &= stops - _ONE
                if lines.ends_sentence(data, p + k, end, tables):
                    n_sentences += pending or letters & low_bits(k) != _ZERO
                    letters &= ~low_bits(k)
                    pending = False
            pending = pending or letters != _ZERO

            line_upper += popcount(upper & piece)
            line_digits += popcount(digits & piece)
            line_alphabetic += popcount(alphabetic & piece)
            shown = visible & piece
            if shown != _ZERO:
                k = 63 - leading_zeros(shown)
                line_last = p + k
                last_char = n_chars + popcount(chars & low_bits(k))
                if line_first < 0:
                    k = trailing_zeros(shown)
                    line_first = p + k
                    first_char = n_chars + popcount(chars & low_bits(k))
            if feed == _ZERO:
                continue

            # the end of a line
            n_lines += 1
            if line_first >= 0:
                flags = lines.line_flags(data, line_first, line_last, end, tables)
                n_bullet += flags & lines.BULLET != 0
                n_ellipsis += flags & lines.ELLIPSIS != 0
                n_terminal += flags & lines.TERMINAL != 0
                n_c4 += flags & lines.C4_TERMINAL != 0
                n_fineweb += flags & lines.FINEWEB_TERMINAL != 0
                length = last_char - first_char + 1
                n_short += length <= SHORT_LINE
                n_one_word += n_words - words_before == 1
                n_uppercase += 2 * line_upper > length
                n_numeric += line_digits > 0 and line_alphabetic == 0
                n_javascript += javascript
                n_policy += policy
                n_sentences += pending
                line_chars += length
                longest_line = max(longest_line, length)
                if keep:
                    _, width = decode(data, line_last, end)
                    code = hash_bytes(data, line_first, line_last + width)
                    line_hashes[n_nonblank] = code
                    line_lengths[n_nonblank] = length
                    paragraph_hash = combine(paragraph_hash, code)
                n_nonblank += 1
                open_paragraph += length
            elif open_paragraph > 0:
                if keep:
                    paragraph_hashes[n_paragraphs] = paragraph_hash
                    paragraph_lengths[n_paragraphs] = open_paragraph
                n_paragraphs += 1
                open_paragraph, paragraph_hash = np.int64(0), _ZERO
            line_first = np.int64(-1)
            line_upper = line_alphabetic = line_digits = np.int64(0)
            words_before = n_words
            javascript = policy = pending = False

        open_chars += popcount(chars & open_bits)
        open_alnum |= alnum & open_bits
        open_alphabetic |= alphabetic & open_bits
        n_chars += popcount(chars)
        n_space += popcount(space)
        n_alphabetic += popcount(alphabetic)
        n_upper += popcount(upper)
        n_digits += popcount(digits)
        n_others += popcount(others)

    if open_paragraph > 0:
        if keep:
            paragraph_hashes[n_paragraphs] = paragraph_hash
            paragraph_lengths[n_paragraphs] = open_paragraph
        n_paragraphs += 1
    counts = (
        end - start, n_chars, n_space, n_alphabetic, n_upper, n_digits,
        n_others, n_words, word_chars, longest_word, alpha_words, popcount(np.uint64(stop_set)),
        stop_hits, n_hash, n_ellipses, n_curly, n_parentheses,
        n_newlines, n_lines, n_nonblank, line_chars, longest_line, n_bullet,
        n_ellipsis, n_terminal, n_c4, n_fineweb,
        n_short, n_one_word, n_uppercase, n_numeric, n_javascript,
        n_policy, n_lorem, n_sentences, n_urls, url_chars, n_paragraphs,
    )  # fmt: skip
    for k in range(len(counts)):
        out[k, row] = counts[k]
    return n_words, n_nonblank, n_paragraphs


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def room(data, tail, start, end):  # type: ignore[no-untyped-def]
    """How many words and lines data[start:end] has at most: sizes for the arrays of `scan`."""
    size, shift = len(data), len(data) - (len(tail) - 64)
    words, breaks = np.int64(0), np.int64(1)
    carry = _ZERO
    for p in range(start, end, 64):
        source, i = data, p
        if p + 64 > size:
            source, i = tail, p - shift
        inside = low_bits(end - p)
        run = byte_mask(source, i, 0x20, 0x61, 26) | byte_mask(source, i, 0, 0x30, 10)
        run |= byte_mask(source, i, 0, 0x5F, 1)
        # a word starts with a run of ASCII, or with a lead byte (0xC2 and above) of another script
        starts = run & ~(run << _ONE | carry)
        words += popcount((starts | byte_mask(source, i, 0, 0xC2, 0x3E)) & inside)
        breaks += popcount(byte_mask(source, i, 0, 0x0A, 1) & inside)
        carry = run >> _63
    return words, breaks
