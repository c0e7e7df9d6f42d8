"""The kernels that build an n-gram index: describe the words of items, enter their n-grams.

In: UTF-8 bytes and offsets of the items. Out: arrays that their caller in ngrams.py made.
Shown by: `python -m gristmill.text.ngrams "an item of words" "a text that holds an item of words"`.
Limit: n-grams are told apart by their words' 64-bit hashes, never by bytes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gristmill.text.ngram_scan import BLOCK, filter_bits, slot_of
from gristmill.text.unicode import IDEOGRAPH, LETTER, SPACELESS, decode, lookup
from gristmill.text.words import combine, words_block


@njit(cache=True, nogil=True, boundscheck=False)
def describe_words(data, offsets, table, counts, hashes, kinds, numbers):  # type: ignore[no-untyped-def]
    """Words of each item: how many; and, if `hashes` is not empty, their hash, kind and number.

    kinds: two letters or more, or an ideograph or cluster; numbers: value of ASCII digits, else -1.
    """
    words = np.empty(BLOCK, np.uint64)
    starts = np.empty(BLOCK, np.int64)
    ends = np.empty(BLOCK, np.int64)
    at = 0
    for item in range(len(offsets) - 1):
        pos, end = offsets[item], offsets[item + 1]
        count = 0
        while pos < end:
            found, pos = words_block(data, pos, end, table, words, starts, ends)
            count += found
            if len(hashes) == 0:
                continue
            for i in range(found):
                letters, value = 0, np.int64(0)
                where = starts[i]
                while where < ends[i]:
                    cp, width = decode(data, where, ends[i])
                    record = lookup(table, cp)
                    if record & IDEOGRAPH:
                        letters += 2
                    elif record & LETTER:
                        letters += 2 if record & SPACELESS else 1
                    if 48 <= cp <= 57 and where - starts[i] < 18:
                        value = value * 10 + cp - 48 if value >= 0 else value
                    else:
                        value = np.int64(-1)
                    where += width
                hashes[at], kinds[at], numbers[at] = words[i], letters >= 2, value
                at += 1
        counts[item] = count


@njit(cache=True, nogil=True, boundscheck=False)
def _is_evidence(hashes, kinds, numbers, first, last, min_distinct, max_counting):  # type: ignore[no-untyped-def]
    """Do the words first..last-1 hold enough different words, and no long count?"""
    needed = min(min_distinct, (last - first + 1) // 2)
    counting = 1
    for i in range(first + 1, last):
        counting = counting + 1 if numbers[i - 1] >= 0 and numbers[i] == numbers[i - 1] + 1 else 1
        if counting > max_counting:
            return False
    distinct = 0
    for i in range(first, last):
        if not kinds[i]:
            continue
        new = True
        for j in range(first, i):
            if hashes[j] == hashes[i]:
                new = False
                break
        distinct += new
        if distinct >= needed:
            return True
    return distinct >= needed


@njit(cache=True, nogil=True, boundscheck=False)
def _key(hashes, first, last):  # type: ignore[no-untyped-def]
    key = np.uint64(0)
    for i in range(first, last):
        key = combine(key, hashes[i])
    return key


@njit(cache=True, nogil=True, boundscheck=False)
def enter_ngrams(  # type: ignore[no-untyped-def]
    item_offsets, hashes, kinds, numbers, lengths, min_words, min_distinct, max_counting,
    keys, slots, next_entry, entry_words, entry_first, entry_count,
    posting_entry, posting_item, posting_word, kept, dropped,
):  # fmt: skip
    """Fill the table and the postings (in item order). Returns entries, postings, whole items."""
    entries, postings, wholes = 0, 0, 0
    shift = np.uint64(64)
    size = len(keys)
    while size > 1:
        size >>= 1
        shift -= np.uint64(1)
    mask = len(keys) - 1
    for item in range(len(item_offsets) - 1):
        begin, end = item_offsets[item], item_offsets[item + 1]
        words = end - begin
        whole = min_words <= words < lengths[0]
        for choice in range(1 if whole else len(lengths)):
            length = words if whole else lengths[choice]
            for first in range(begin, end - length + 1):
                last = first + length
                if not _is_evidence(
                    hashes, kinds, numbers, first, last, min_distinct, max_counting
                ):
                    dropped[item] += 1
                    continue
                kept[item] += 1
                # a whole item is anchored by its last min_words words: one more length to hash
                key = _key(hashes, last - min_words if whole else first, last)
                slot = slot_of(key, shift)
                while slots[slot] >= 0 and keys[slot] != key:
                    slot = (slot + 1) & mask
                entry, tail = np.int64(slots[slot]), np.int64(-1)
                while entry >= 0:
                    same = entry_words[entry] == length
                    for i in range(length if same else 0):
                        if hashes[entry_first[entry] + i] != hashes[first + i]:
                            same = False
                            break
                    if same:
                        break
                    tail, entry = entry, np.int64(next_entry[entry])
                if entry < 0:
                    entry = np.int64(entries)
                    entries += 1
                    if tail < 0:
                        keys[slot], slots[slot] = key, entry
                    else:
                        next_entry[tail] = entry
                    entry_words[entry], entry_first[entry] = length, first
                    wholes += whole
                entry_count[entry] += 1
                posting_entry[postings] = entry
                posting_item[postings] = item
                posting_word[postings] = first - begin
                postings += 1
    return entries, postings, wholes


@njit(cache=True, nogil=True, boundscheck=False)
def fill_filter(hashes, entry_first, entry_words, length, shortest, bitmap, shift):  # type: ignore[no-untyped-def]
    """Two bits in one 64-bit word for every entry that is looked up by its last `length` words."""
    for entry in range(len(entry_words)):
        words = entry_words[entry]
        if words == length or (length < shortest and words < shortest):
            last = entry_first[entry] + words
            key = _key(hashes, last - length, last)
            bitmap[key >> shift] |= filter_bits(key)
