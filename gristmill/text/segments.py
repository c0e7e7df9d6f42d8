"""Unicode words (UAX #29) in 64 bytes: masks of what is inside a word and of where one must start.

In: a block of a document's bytes and what the block before left open. Out: masks, and what is open.
Shown by: `python -m gristmill.text.signals "It isn't 3.14 m."` (the counts made of these masks).
Limit: rule WB3c (joined emoji) is left out: it only moves the start of segments that are no words.

A word is a segment between the standard's boundaries that has a letter or a number: "isn't" and
"3.14" are one word each, an ideograph or hiragana is one, a run of katakana is one. The standard
leaves scripts without spaces (Thai, Lao, Khmer, Myanmar ...) to a dictionary; here a run of them is
cut into pieces: a piece ends before a letter once it has PIECE characters, and before a vowel that
is written ahead of its consonant; never after such a vowel or a conjoining virama.
A block of ASCII takes a dozen mask operations; simple characters over 0x7F are added to the masks
one by one; a block with any other is walked by character.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gristmill.text import unicode as u
from gristmill.text.simd import byte_mask, low_bits, trailing_zeros
from gristmill.text.unicode import decode, lookup

PIECE = 4

_ZERO, _ONE = np.uint64(0), np.uint64(1)
_63 = np.uint64(63)
_ND = u.CATEGORIES.index("Nd") << u.CATEGORY_SHIFT
_CATEGORY = 31 << u.CATEGORY_SHIFT

# what the latest character was to the next one; NONE is outside of any word
(NONE, LETTER, HEBREW, NUMERIC, KATAKANA, CONNECTOR, MID, CLOSED, SPACELESS) = range(9)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _class_after(data, i, end, tables):  # type: ignore[no-untyped-def]
    """Word_Break class of the next character that is not Extend, Format or ZWJ; 0 at the end."""
    while i < end:
        cp, width = decode(data, i, end)
        kind = lookup(tables, cp) & u.WB_MASK
        if kind != u.WB_EXTEND and kind != u.WB_FORMAT and kind != u.WB_ZWJ:
            return kind
        i += width
    return np.int64(0)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def add_others(data, p, end, high, letters, digits, before, skip, tables):  # type: ignore[no-untyped-def]
    """Classify the characters over 0x7F (bytes `high`) of a block whose ASCII has its masks.

    letters, digits: of Word_Break, every byte of a character. Returns (whether it could, letters,
    digits, joined, alone, force, counts, skip): `joined` are quotes inside a word, `alone` words of
    one character; counts are masks as in `any_words`, from `characters` on. It cannot where
    the standard looks further than one character: marks, joiners, Hebrew, katakana, Thai ...
    """
    joined, alone, force = _ZERO, _ZERO, _ZERO
    chars, alnum, alphabetic, upper, decimal = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
    space, others, terminal, dots, angles = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
    spilt = low_bits(skip)
    high &= ~spilt
    if before == LETTER:
        letters |= spilt
    elif before == NUMERIC:
        digits |= spilt
    elif before == MID:
        joined = spilt
    elif before == CLOSED:
        alone = spilt
        force = spilt + _ONE
    can = before == NONE or before == LETTER or before == NUMERIC or before >= CONNECTOR
    can = can and before != SPACELESS
    skip = np.int64(0)
    while high != _ZERO and can:
        k = trailing_zeros(high)
        at = np.uint64(k)
        cp, width = decode(data, p + k, end)
        record = lookup(tables, cp)
        span = low_bits(width) << at
        high &= ~span
        skip = max(k + width - 64, 0)
        bit = _ONE << at
        chars |= bit
        kind = record & u.WB_MASK
        if kind == u.WB_ALETTER:
            letters |= span
        elif kind == u.WB_NUMERIC:
            digits |= span
        elif kind == u.WB_MID_NUM_LET:
            then = _class_after(data, p + k + width, end, tables)
            if k:
                after_letter = (letters >> (at - _ONE)) & _ONE != _ZERO
                after_digit = (digits >> (at - _ONE)) & _ONE != _ZERO
            else:
                after_letter, after_digit = before == LETTER, before == NUMERIC
            if (after_letter and (then == u.WB_ALETTER or then == u.WB_HEBREW)) or (
                after_digit and then == u.WB_NUMERIC
            ):
                joined |= span
        elif kind == u.WB_OTHER and not record & u.SPACELESS:
            if record & (u.LETTER | u.NUMBER):
                alone |= span
                force |= bit | span + bit
        else:
            can = kind == u.WB_NEWLINE or kind == u.WB_WSEG_SPACE
        if record & u.LETTER:
            alnum |= bit
        else:
            alnum |= np.uint64(record & u.NUMBER != 0) << at
            decimal |= np.uint64(record & _CATEGORY == _ND) << at
            space |= np.uint64(record & u.SPACE != 0) << at
            others |= np.uint64(record & (u.MARK | u.NUMBER | u.SPACE) == 0) << at
            terminal |= np.uint64(record & u.TERMINAL != 0) << at
            dots |= np.uint64(cp == 0x2026) << at
            angles |= np.uint64(cp == 0x27E8 or cp == 0x27E9) << at
        alphabetic |= np.uint64(record & u.ALPHABETIC != 0) << at
        upper |= np.uint64(record & u.UPPER != 0) << at
    counts = (chars, alnum, alphabetic, upper, decimal, space, others, terminal, dots, angles)
    return can, letters, digits, joined, alone, force, counts, skip


@njit(inline="always")
def block_words(  # type: ignore[no-untyped-def]
    data, source, i, p, end, inside, letters, digits, dots, joined, alone, force, before, skip,
    tables,
):  # fmt: skip
    """Masks (word, forced starts) of a block, by bits alone, and what its last character is.

    source[i:i+64] holds the block, which lies at `p` of data. letters .. force: as `add_others`
    returns them; `dots` are full stops. `before` must not be HEBREW.
    """
    connectors = byte_mask(source, i, 0, 0x5F, 1) & inside
    quotes = byte_mask(source, i, 0, 0x27, 1) & inside
    colons = byte_mask(source, i, 0, 0x3A, 1) & inside
    commas = (byte_mask(source, i, 0, 0x2C, 1) | byte_mask(source, i, 0, 0x3B, 1)) & inside
    # WB6, WB7, WB11, WB12: one of these between two letters or two numbers joins them
    after_letter = (dots | quotes | colons) & (letters << _ONE | np.uint64(before == LETTER))
    after_digit = (dots | quotes | commas) & (digits << _ONE | np.uint64(before == NUMERIC))
    next_letter, next_digit = letters >> _ONE, digits >> _ONE
    if (after_letter | after_digit) >> _63 != _ZERO:
        kind = _class_after(data, p + 64, end, tables)
        next_letter |= np.uint64(kind == u.WB_ALETTER or kind == u.WB_HEBREW) << _63
        next_digit |= np.uint64(kind == u.WB_NUMERIC) << _63
    joined |= (after_letter & next_letter) | (after_digit & next_digit)
    if before == KATAKANA:
        force |= _ONE & ~connectors
    elif before >= CLOSED and skip == 0:
        force |= _ONE
    after = np.int64(NONE)
    if letters >> _63 != _ZERO:
        after = np.int64(LETTER)
    elif digits >> _63 != _ZERO:
        after = np.int64(NUMERIC)
    elif connectors >> _63 != _ZERO:
        after = np.int64(CONNECTOR)
    elif joined >> _63 != _ZERO:
        after = np.int64(MID)
    elif alone >> _63 != _ZERO:
        after = np.int64(CLOSED)
    return letters | digits | connectors | joined | alone, force, after


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def any_words(data, p, end, state, tables):  # type: ignore[no-untyped-def]
    """Masks of any block: character by character.

    state: (what the character before was, bytes of it that reach into this block, characters in the
    open piece, whether that takes the next letter in). Returns masks whose bits stand for the first
    byte of a character (but `word`: every byte), and the state:
    (word, force, characters, letters or numbers, alphabetic, uppercase, decimal digits, white
    space, others, terminators, ellipses, angle brackets), state
    """
    before, skip, piece, joins = state
    word = low_bits(skip) if before != NONE else _ZERO
    force, chars, alnum, alphabetic, upper = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
    digits, space, others, terminal, dots, angles = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
    i, stop = p + skip, min(p + 64, end)
    skip = np.int64(0)
    while i < stop:
        cp, width = np.int64(data[i]), np.int64(1)
        if cp >= 0x80:
            cp, width = decode(data, i, end)
        record = lookup(tables, cp)
        at = np.uint64(i - p)
        bit = _ONE << at
        chars |= bit
        alnum |= np.uint64(record & (u.LETTER | u.NUMBER) != 0) << at
        alphabetic |= np.uint64(record & u.ALPHABETIC != 0) << at
        upper |= np.uint64(record & u.UPPER != 0) << at
        digits |= np.uint64(record & _CATEGORY == _ND) << at
        space |= np.uint64(record & u.SPACE != 0) << at
        others |= np.uint64(record & (u.LETTER | u.MARK | u.NUMBER | u.SPACE) == 0) << at
        terminal |= np.uint64(record & u.TERMINAL != 0) << at
        dots |= np.uint64(cp == 0x2026) << at
        angles |= np.uint64(cp == 0x27E8 or cp == 0x27E9) << at

        kind = record & u.WB_MASK
        now, joined = NONE, True
        if kind == u.WB_EXTEND or kind == u.WB_FORMAT or kind == u.WB_ZWJ:
            now = before  # WB4
            piece += 1
            if not record & u.IGNORABLE:
                joins = np.int64(record & u.LINKER != 0)
        elif kind == u.WB_ALETTER or kind == u.WB_HEBREW:
            now = LETTER if kind == u.WB_ALETTER else HEBREW
            joined = LETTER <= before <= NUMERIC or before == CONNECTOR or before == MID
        elif kind == u.WB_NUMERIC:
            now = NUMERIC
            joined = LETTER <= before <= NUMERIC or before == CONNECTOR or before == MID
        elif kind == u.WB_KATAKANA:
            now = KATAKANA
            joined = before == KATAKANA or before == CONNECTOR
        elif kind == u.WB_EXTEND_NUM_LET:
            now = CONNECTOR
            joined = LETTER <= before <= CONNECTOR
        elif u.WB_SINGLE_QUOTE <= kind <= u.WB_MID_NUM:
            now = _middle(data, i + width, end, kind, before, tables)
        elif record & u.SPACELESS and record & u.LETTER:
            now = SPACELESS
            vowel = np.int64(record & u.PREPENDED != 0)
            joined = before == SPACELESS and (joins or (piece < PIECE and not vowel))
            piece = piece + 1 if joined else np.int64(1)
            joins = vowel
        elif record & (u.LETTER | u.NUMBER):
            now, joined = CLOSED, False
        if now != NONE:
            word |= low_bits(width) << at
            if not joined:
                force |= bit
        before = np.int64(now)
        i += width
    skip = max(i - (p + 64), 0)
    masks = (
        word, force, chars, alnum, alphabetic, upper, digits, space, others, terminal, dots, angles
    )  # fmt: skip
    return masks, (before, skip, piece, joins)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _middle(data, i, end, kind, before, tables):  # type: ignore[no-untyped-def]
    """What a mark such as ' . : , is after `before`: MID, CLOSED or NONE (WB6, 7, 7a-c, 11, 12)."""
    both = kind == u.WB_SINGLE_QUOTE or kind == u.WB_MID_NUM_LET
    if (before == LETTER or before == HEBREW) and (both or kind == u.WB_MID_LETTER):
        then = _class_after(data, i, end, tables)
        if then == u.WB_ALETTER or then == u.WB_HEBREW:
            return MID
        if before == HEBREW and kind == u.WB_SINGLE_QUOTE:
            return CLOSED
    if before == HEBREW and kind == u.WB_DOUBLE_QUOTE:
        if _class_after(data, i, end, tables) == u.WB_HEBREW:
            return MID
    if before == NUMERIC and (both or kind == u.WB_MID_NUM):
        if _class_after(data, i, end, tables) == u.WB_NUMERIC:
            return MID
    return NONE
