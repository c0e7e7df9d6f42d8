"""Normalised words, as deduplication and decontamination compare them: spans and 64-bit hashes.

In: UTF-8 bytes of one document (any bytes are safe). Out: word hashes, start and end byte offsets.
Shown by: `python -m gristmill.text.words "Don't mill 3 grains."`.
Limit: no normal forms are computed: é as one code point and as e + accent are two different words.

A word is a maximal run of letters, numbers and the marks after them. Each ideograph or kana is a
word of its own, and so is each cluster of a script without spaces (Thai, Lao, Khmer, Myanmar ...:
a letter, the vowel written before it, its marks, letters joined by a virama). Invisible characters
(soft hyphen, joiners, variation selectors) neither break a word nor enter its hash. Words are
lower-cased one character to one; the hash is `word_hash` of the lower-cased UTF-8 bytes
(hashing.py, which also says how the hash of an n-gram is made of them).
"""

from __future__ import annotations

import sys
from functools import cache

import numpy as np
from numba import njit

from gristmill.text.hashing import (
    FIRST,
    K1,
    K2,
    K3,
    NEXT,
    SEED,
    P,
    combine,
    finish,
    hash_bytes,
    hash_end,
    hash_round,
    load_safe,
    power,
    word_hash,
)
from gristmill.text.simd import byte_mask, load64, low_bits, trailing_zeros
from gristmill.text.unicode import (
    CASED,
    IDEOGRAPH,
    IGNORABLE,
    LETTER,
    LINKER,
    MARK,
    NUMBER,
    PREPENDED,
    SPACELESS,
    decode,
    lookup,
    simple_lower,
    tables,
)

__all__ = [
    "K1", "K2", "K3", "SEED", "P", "combine", "finish", "has_letter", "hash_bytes", "hash_end",
    "hash_round", "low_bits", "normalized_words", "power", "word_hash", "words_block",
]  # fmt: skip

_SEED = np.uint64(SEED)
_ZERO, _ONE = np.uint64(0), np.uint64(1)
_HIGH = np.uint64(0x8080808080808080)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _hash_lowered(data, start, end, tables):  # type: ignore[no-untyped-def]
    """`word_hash` of data[start:end], lower-cased, without invisible characters: any script."""
    h, low, high = _SEED, _ZERO, _ZERO
    fill, length = 0, 0
    i = start
    while i < end:
        cp, width = decode(data, i, end)
        i += width
        if cp < 0x80:
            packed = np.uint64(cp | 0x20)  # letters and digits only
        else:
            record = lookup(tables, cp)
            if record & IGNORABLE:
                continue
            if record & CASED:
                cp = simple_lower(tables, cp)
            if cp < 0x80:
                packed, width = np.uint64(cp), 1
            elif cp < 0x800:
                packed, width = np.uint64(0x80C0 | cp >> 6 | (cp & 0x3F) << 8), 2
            elif cp < 0x10000:
                packed = np.uint64(0x8080E0 | cp >> 12 | (cp >> 6 & 0x3F) << 8 | (cp & 0x3F) << 16)
                width = 3
            else:
                packed = np.uint64(
                    0x808080F0 | cp >> 18 | (cp >> 12 & 0x3F) << 8
                    | (cp >> 6 & 0x3F) << 16 | (cp & 0x3F) << 24
                )  # fmt: skip
                width = 4
        length += width
        if fill < 8:
            low |= packed << np.uint64(8 * fill)
            if fill + width > 8:
                high = packed >> np.uint64(64 - 8 * fill)
        else:
            high |= packed << np.uint64(8 * fill - 64)
        fill += width
        if fill >= 16:
            h = hash_round(h, low, high)
            fill -= 16
            low = packed >> np.uint64(8 * (width - fill)) if fill else _ZERO
            high = _ZERO
    if fill:
        h = hash_round(h, low, high)
    return hash_end(h, np.uint64(length))


@njit(inline="always")
def _folded(chunk, mask):  # type: ignore[no-untyped-def]
    """8 bytes of a word under a mask: ASCII lower-cased, others as they are."""
    # setting bit 5 lower-cases an ASCII letter and leaves a digit; bytes over 0x7F are left out
    return (chunk | ((~chunk & _HIGH) >> np.uint64(2))) & mask


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _hash_folded(data, start, end):  # type: ignore[no-untyped-def]
    """`word_hash` of data[start:end] where only ASCII has another lower case."""
    h = _SEED
    for i in range(start, end, 16):
        if i + 16 <= len(data):
            low, high = load64(data, i), load64(data, i + 8)
        else:
            low, high = load_safe(data, i, end), load_safe(data, i + 8, end)
        left = np.uint64(min(end - i, 16))
        h = hash_round(h, _folded(low, FIRST[left]), _folded(high, NEXT[left]))
    return hash_end(h, np.uint64(end - start))


@njit(inline="always")
def _hash_word(data, start, end, special, tables):  # type: ignore[no-untyped-def]
    """The hash of one normalised word; `special`: it may hold more than ASCII to lower-case."""
    length = end - start
    if special:
        return _hash_lowered(data, start, end, tables)
    if length <= 16 and start + 16 <= len(data):  # nearly all words: no branch from here on
        width = np.uint64(length)  # unsigned: no check for a negative index
        low = _folded(load64(data, start), FIRST[width])
        high = _folded(load64(data, start + 8), NEXT[width])
        return hash_end(hash_round(_SEED, low, high), width)
    return _hash_folded(data, start, end)


@njit(inline="always")
def _ascii_masks(data, i):  # type: ignore[no-untyped-def]
    """Masks of the ASCII letters and digits, and of the bytes over 0x7F, of data[i:i+64]."""
    word = byte_mask(data, i, 0x20, 0x61, 26) | byte_mask(data, i, 0, 0x30, 10)
    return word, byte_mask(data, i, 0, 0x80, 0x80)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _last_masks(data, i):  # type: ignore[no-untyped-def]
    """`_ascii_masks` of fewer than 64 bytes at the end of the array."""
    word, high = _ZERO, _ZERO
    for k in range(len(data) - i):
        byte = data[i + k]
        if byte >= 0x80:
            high |= _ONE << np.uint64(k)
        elif 0x30 <= byte <= 0x39 or 0x61 <= byte | 0x20 <= 0x7A:
            word |= _ONE << np.uint64(k)
    return word, high


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def _mark_others(data, p, end, word, high, carry, force, state, tables):  # type: ignore[no-untyped-def]
    """Add the non-ASCII characters (bytes in `high`) of the block at p to its masks.

    carry: 1 where the byte before the block is in a word. state: what spills over into the next
    block (bytes of a last character, their word bits, a forced start), the end of the latest
    one-character word, and whether that takes the next letter in. Returns (word, force, special,
    state); special: characters that have a lower case or do not enter a hash.
    """
    special = _ZERO
    skip, spill_word, spill_force, own_end, joins = state
    high &= ~low_bits(skip)
    word |= spill_word
    force |= spill_force & ~high  # a character over 0x7F decides for itself, it may be a mark
    skip, spill_word, spill_force = np.int64(0), _ZERO, _ZERO
    while high != _ZERO:
        k = trailing_zeros(high)
        q = p + k
        cp, width = decode(data, q, end)
        record = lookup(tables, cp)
        high &= ~(low_bits(width) << np.uint64(k))
        skip = max(k + width - 64, 0)
        if record & (LETTER | NUMBER):
            if record & IDEOGRAPH or record & (SPACELESS | LETTER) == SPACELESS | LETTER:
                if not (joins and own_end == q and record & SPACELESS):
                    force |= _ONE << np.uint64(k)
                joins = record & PREPENDED != 0
                own_end = q + width
            elif own_end == q:
                force |= _ONE << np.uint64(k)
        elif record & (MARK | IGNORABLE):
            if ((word >> np.uint64(k - 1)) & _ONE if k else carry) == _ZERO:
                continue  # a mark on nothing, such as a variation selector after an emoji
            if own_end == q:
                own_end = q + width
                if not record & IGNORABLE:
                    joins = record & LINKER != 0
        else:
            continue
        if record & (CASED | IGNORABLE):
            special |= _ONE << np.uint64(k)
        word |= low_bits(width) << np.uint64(k)
        spill_word |= low_bits(skip)
        if own_end == q + width:  # whatever follows, but for a mark, starts a word
            if k + width < 64:
                force |= (_ONE << np.uint64(k + width)) & ~high
            else:
                spill_force |= _ONE << np.uint64(skip)
    return word, force, special, (skip, spill_word, spill_force, own_end, joins)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def words_block(data, pos, end, tables, hashes, starts=None, ends=None):  # type: ignore[no-untyped-def]
    """The normalised words of data[pos:end], at most len(hashes) of them.

    Fills hashes (uint64) and, where given, starts and ends (int64 byte offsets into data). Returns
    (number of words, where to continue): when that is `end`, the text is done. A word is never cut:
    a full array ends the walk before the next word. `pos` is a document's start, or what a former
    call returned. `tables` is `unicode.tables()`.
    """
    count, room, size = np.int64(0), len(hashes), len(data)
    carry, open_special = _ZERO, _ZERO
    begin = pos  # start of the word that is open
    state = (np.int64(0), _ZERO, _ZERO, np.int64(-1), False)
    for p in range(pos, end + 1, 64):  # the last block has a place past the end, to end a word at
        if p + 64 <= size:
            word, high = _ascii_masks(data, p)
        else:
            word, high = _last_masks(data, p)
        inside = low_bits(end - p)
        word &= inside
        high &= inside
        force = special = _ZERO
        if high != _ZERO or state[2] != _ZERO:
            word, force, special, state = _mark_others(
                data, p, end, word, high, carry, force, state, tables
            )
        before = (word << _ONE) | carry
        first = word & (force | ~before)
        last = before & (force | ~word)
        if carry == _ZERO:
            begin = p + trailing_zeros(first)
            first &= first - _ONE
        while last != _ZERO:
            k = trailing_zeros(last)
            last &= last - _ONE
            if count == room:
                return count, begin
            lowers = (special & low_bits(k)) | open_special != _ZERO
            hashes[count] = _hash_word(data, begin, p + k, lowers, tables)
            if starts is not None:
                starts[count] = begin
            if ends is not None:
                ends[count] = p + k
            count += 1
            special &= ~low_bits(k)
            open_special = _ZERO
            begin = p + trailing_zeros(first)
            first &= first - _ONE
        carry = word >> np.uint64(63)
        open_special |= special
    return count, end


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def has_letter(data, start, end, tables):  # type: ignore[no-untyped-def]
    """Whether data[start:end] holds a letter (general category L)."""
    i = start
    while i < end:
        cp, width = decode(data, i, end)
        if lookup(tables, cp) & LETTER:
            return True
        i += width
    return False


def normalized_words(text: str) -> list[str]:
    """The normalised words of a text, lower-cased: the plain definition that kernels must equal."""
    words: list[str] = []
    own = joins = inside = False  # of the character before: one-character word, takes a letter in
    for char in text:
        record = _record(char)
        if record & (LETTER | NUMBER):
            spaceless = record & (SPACELESS | LETTER) == SPACELESS | LETTER
            alone = bool(record & IDEOGRAPH) or spaceless
            if inside and ((own and joins and spaceless) or not (own or alone)):
                words[-1] += _lower(char)
            else:
                words.append(_lower(char))
            own, inside, joins = alone, True, bool(record & PREPENDED)
        elif inside and record & IGNORABLE:
            pass
        elif inside and record & MARK:
            words[-1] += _lower(char)
            joins = bool(record & LINKER)
        else:
            inside = own = joins = False
    return words


@cache
def _record(char: str) -> int:
    return int(lookup.py_func(tables(), ord(char)))


@cache
def _lower(char: str) -> str:
    return chr(simple_lower.py_func(tables(), ord(char)))


def main() -> None:
    for word in normalized_words(" ".join(sys.argv[1:])):
        print(f"{word_hash(word.encode()):016x} {word}")


if __name__ == "__main__":
    main()
