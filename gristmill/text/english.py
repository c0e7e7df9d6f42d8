"""What the datatrove and dolma dialects know of a character, and spaCy's English exceptions.

In: english.npz beside this file (made by generate_english.py). Out: `english()`, the tables that
kernels take.
Shown by: `python -m gristmill.text.english …`.
Limit: Python 3.11's view of characters (Unicode 14), because the tools imitated ask Python.

The classes and the 1,343 exceptions are spaCy's (3.8, MIT licence, (c) ExplosionAI); the symbols
and terminal marks are datatrove's (0.10.1, Apache-2.0). unicode.py has the tables of our own
definitions.
"""

from __future__ import annotations

import sys
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from gristmill.text.words import word_hash

BLOCK_BITS = 7

SPACE = 1 << 0  # str.isspace
LETTER = 1 << 1  # str.isalpha
UPPER = 1 << 2  # str.isupper
DIGIT = 1 << 3  # str.isdigit
PUNCT = 1 << 4  # general category P
LINE_BREAK = 1 << 5  # str.splitlines breaks here
WORD = 1 << 6  # regular expression \w
# spaCy's character classes
ALPHA = 1 << 7
ALPHA_LOWER = 1 << 8
ALPHA_UPPER = 1 << 9
QUOTE = 1 << 10
ICON = 1 << 11
PREFIX = 1 << 12  # peeled from the front of a word
SUFFIX = 1 << 13  # peeled from its end
BEFORE_DOT = 1 << 14  # a final full stop after it is peeled
TAIL_END = 1 << 15  # may end a unit or currency, which are peeled after a digit
INFIX = 1 << 16  # a word may be cut here
SENTENCE_END = 1 << 17  # spaCy's sentencizer
URL_EDGE = 1 << 18  # first and last character of a host label
# datatrove's sets
SYMBOL = 1 << 19  # PUNCTUATION_SET: words of nothing else are not counted
TERMINAL = 1 << 20  # TERMINAL_PUNCTUATION: a line may end with it
# Python regular expressions
DECIMAL = 1 << 21  # \d


class English(NamedTuple):
    """Two plain arrays, handed to kernels one by one: a call costs by the number of its arrays."""

    flags: npt.NDArray[np.uint32]  # [0x110000]: one load a character; little of it is ever touched
    book: npt.NDArray[np.uint64]  # spaCy's exceptions and units, see below


# The book: two bit sets that tell most words from exceptions, a hash table of the exceptions, and
# the units. Token lengths of an exception are packed in 5 bits each, the first lowest.
BLOOM_BITS = 16
_BLOOM = 1 << (BLOOM_BITS - 6)
FIRSTS = _BLOOM  # may a token with this hash begin an exception that is found as several tokens?
_KEYS = 2 * _BLOOM  # hashes, 0 = free
_SLOTS = 1 << 13
PARTS = _KEYS + _SLOTS  # the tokens that it is cut into
AGAIN = PARTS + _SLOTS  # the tokens that it is found as afterwards; 0 = not looked for
_TAILS = AGAIN + _SLOTS  # sorted hashes of units and currencies
LONGEST_RULE = 29  # bytes of "(╯°□°）╯︵┻━┻"
LONGEST_TAIL = 10  # bytes of the longest unit
MOST_TOKENS = 11


@cache
def _archive() -> dict[str, npt.NDArray[Any]]:
    with np.load(Path(__file__).with_name("english.npz")) as archive:
        return dict(archive)


def made_with() -> str:
    """The versions that the tables were made from."""
    return str(_archive()["made_with"])


@cache
def english() -> English:
    """The tables, loaded and indexed once a process."""
    raw = _archive()
    flags = raw["stage2"].reshape(-1, 1 << BLOCK_BITS)[raw["stage1"]].reshape(-1)
    rules = _cut(raw["rules"], raw["rule_offsets"])
    tails = [word_hash(tail) for tail in _cut(raw["tails"], raw["tail_offsets"])]
    book = np.zeros(_TAILS + len(tails), np.uint64)
    book[_TAILS:] = sorted(tails)
    parts, again = _pack(raw["rule_parts"]), _pack(raw["rule_again"])
    firsts = []
    for number, rule in enumerate(rules):
        value = word_hash(rule)
        slot = _first_slot(value)
        while book[_KEYS + slot]:
            slot = (slot + 1) & (_SLOTS - 1)
        book[_KEYS + slot] = value
        book[PARTS + slot], book[AGAIN + slot] = parts[number], again[number]
        if again[number] >> 5:
            firsts.append(word_hash(rule[: again[number] & 31]))
    book[:_BLOOM] = _bloom([word_hash(rule) for rule in rules])
    book[FIRSTS:_KEYS] = _bloom(firsts)
    return English(flags, book)


def _pack(lengths: npt.NDArray[np.uint8]) -> list[int]:
    """Rows of token lengths, 5 bits each."""
    return [sum(int(n) << 5 * k for k, n in enumerate(row)) for row in lengths]


def _first_slot(value: int) -> int:
    return value >> 20 & _SLOTS - 1


def _cut(blob: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> list[bytes]:
    raw = blob.tobytes()
    return [raw[a:b] for a, b in pairwise(offsets.tolist())]


def _bloom(hashes: list[int]) -> npt.NDArray[np.uint64]:
    """One bit a hash: 64 k bits for 1,343 exceptions let 2 % of other words through."""
    bits = np.zeros(1 << BLOOM_BITS, np.uint8)
    bits[[value >> 64 - BLOOM_BITS for value in hashes]] = 1
    return np.packbits(bits, bitorder="little").view(np.uint64)


@njit(inline="always")
def in_bloom(book, which, value):  # type: ignore[no-untyped-def]
    """False: the hash is certainly not in the set at `which` (0: exceptions, or FIRSTS)."""
    bit = value >> np.uint64(64 - BLOOM_BITS)
    word = book[which + np.int64(bit >> np.uint64(6))]
    return (word >> (bit & np.uint64(63))) & np.uint64(1) != 0


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def find_rule(book, value):  # type: ignore[no-untyped-def]
    """The slot of the exception with this hash, or -1. Ask `in_bloom` first."""
    slot = np.int64((value >> np.uint64(20)) & np.uint64(_SLOTS - 1))
    while book[_KEYS + slot] != 0:
        if book[_KEYS + slot] == value:
            return slot
        slot = (slot + 1) & (_SLOTS - 1)
    return np.int64(-1)


@njit(cache=True, nogil=True, boundscheck=False, _nrt=False)
def is_tail(book, value):  # type: ignore[no-untyped-def]
    """Is this the hash of a unit, a currency or a plus?"""
    low, high = _TAILS, len(book)
    while low < high:
        middle = (low + high) >> 1
        if book[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low < len(book) and book[low] == value


def describe(char: str) -> str:
    """One line on a character, for people."""
    flags = int(english().flags[ord(char)])
    names = list(globals())[list(globals()).index("SPACE") : list(globals()).index("DECIMAL") + 1]
    return f"U+{ord(char):04X} {' '.join(n for n in names if globals()[n] & flags)}"


if __name__ == "__main__":
    print(made_with())
    for char in "".join(sys.argv[1:]):
        print(describe(char))
