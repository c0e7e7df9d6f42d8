"""The kernel that finds the n-grams of an index in texts.

In: UTF-8 bytes and offsets, the arrays of an index. Out: arrays that its caller in ngrams.py made.
Shown by: `python -m gristmill.text.ngrams "an item of words" "a text that holds an item of words"`.
Limit: 64-bit word hashes are compared, never bytes: two words of one hash count as the same word.

A text is walked in blocks of words, so a line of 100 MB costs time but no memory. Hashes of
n-grams are differences of prefix sums of a polynomial mod 2^64, and the filter is asked without a
branch, so that the cache misses of many positions are under way at once; only what passes is
looked up and compared word by word.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from gristmill.text.words import P, combine, words_block

BLOCK = 1024  # words walked at once: all buffers together stay in the first-level cache
_Q = np.uint64(0xD6E8FEB86659FD93)  # an odd multiplier: spreads keys over the table
_LOW6, _S6, _ONE = np.uint64(63), np.uint64(6), np.uint64(1)


class Arrays(NamedTuple):
    """What `scan_texts` needs of an index; numba takes the tuple as one argument."""

    lengths: npt.NDArray[np.int64]
    powers: npt.NDArray[np.uint64]  # P ** length
    filters: npt.NDArray[np.uint64]  # one bitmap a length, one after another
    filter_at: npt.NDArray[np.int64]  # [L + 1] where each starts
    filter_shift: npt.NDArray[np.uint64]  # [L] 64 - log2(its words)
    keys: npt.NDArray[np.uint64]
    table_shift: np.uint64  # 64 - log2(len(keys))
    slots: npt.NDArray[np.int32]
    next_entry: npt.NDArray[np.int32]
    entry_words: npt.NDArray[np.int32]
    entry_first: npt.NDArray[np.int64]  # where the words of an entry start in item_hashes
    item_hashes: npt.NDArray[np.uint64]


def powers_of(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """The multiplier to the power of each length, mod 2^64."""
    return np.array([pow(P, int(length), 1 << 64) for length in lengths], np.uint64)


@njit(inline="always")
def slot_of(key, shift):  # type: ignore[no-untyped-def]
    """Where the search for a key starts in a table of 2^(64 - shift) slots."""
    return np.int64((key * _Q) >> shift)


@njit(inline="always")
def filter_bits(key):  # type: ignore[no-untyped-def]
    """The two bits that stand for a key in its word of the filter."""
    return (_ONE << (key & _LOW6)) | (_ONE << ((key >> _S6) & _LOW6))


@njit(inline="always")
def may_hold(bitmap, shift, key):  # type: ignore[no-untyped-def]
    """1 when both bits of a key are set, else 0 (int64)."""
    word = bitmap[key >> shift]
    return np.int64((word >> (key & _LOW6)) & (word >> ((key >> _S6) & _LOW6)) & _ONE)


@njit(cache=True, nogil=True, boundscheck=False)
def scan_texts(data, offsets, table, index, exempt, seen, first, serial, hits, runs):  # type: ignore[no-untyped-def]
    """Hits and runs of texts first, first + 1, …: (next text, hits, runs).

    hits: int64 [capacity, 5] text, entry, word, start, end; runs: [capacity, 3] text, start, end.
    When one is full, the counts of whole texts are returned and the text to go on with in larger
    ones. `seen[entry]` holds the serial of the text that it was last found in.
    """
    history = index.lengths[-1] - 1
    hashes = np.empty(history + BLOCK, np.uint64)
    starts = np.empty(history + BLOCK, np.int64)
    ends = np.empty(history + BLOCK, np.int64)
    prefix = np.empty(history + BLOCK + 1, np.uint64)
    cover = np.zeros(history + BLOCK, np.int32)  # words of the longest entry that ends here
    passed = np.empty(BLOCK, np.int32)
    mask = len(index.keys) - 1
    n_hits, n_runs = 0, 0
    for text in range(first, len(offsets) - 1):
        pos, end = offsets[text], offsets[text + 1]
        hits_before, runs_before = n_hits, n_runs
        held, base = 0, 0  # words kept of the block before; number of the first word in the buffer
        while pos < end:
            found, pos = words_block(
                data, pos, end, table, hashes[held : held + BLOCK],
                starts[held : held + BLOCK], ends[held : held + BLOCK],
            )  # fmt: skip
            total = held + found
            total_hash = np.uint64(0)
            prefix[0] = total_hash
            for i in range(total):
                total_hash = combine(total_hash, hashes[i])
                prefix[i + 1] = total_hash
            touched = False
            for choice in range(len(index.lengths)):
                length, power = index.lengths[choice], index.powers[choice]
                bitmap = index.filters[index.filter_at[choice] : index.filter_at[choice + 1]]
                shift = index.filter_shift[choice]
                count = 0
                for last in range(max(held, length - 1), total):
                    key = prefix[last + 1] - prefix[last + 1 - length] * power
                    passed[count] = last
                    count += may_hold(bitmap, shift, key)
                for candidate in range(count):
                    at = np.int64(passed[candidate])
                    key = prefix[at + 1] - prefix[at + 1 - length] * power
                    slot = slot_of(key, index.table_shift)
                    while index.slots[slot] >= 0 and index.keys[slot] != key:
                        slot = (slot + 1) & mask
                    entry = np.int64(index.slots[slot])
                    while entry >= 0:
                        words = np.int64(index.entry_words[entry])
                        begin = at + 1 - words
                        same = begin >= 0 and not exempt[entry]
                        where = index.entry_first[entry]
                        for i in range(words if same else 0):
                            if hashes[begin + i] != index.item_hashes[where + i]:
                                same = False
                                break
                        if same:
                            touched = True
                            cover[at] = max(cover[at], words)
                            if seen[entry] != serial + text:
                                seen[entry] = serial + text
                                if n_hits == len(hits):
                                    return text, hits_before, runs_before
                                hits[n_hits, 0] = text
                                hits[n_hits, 1] = entry
                                hits[n_hits, 2] = base + begin
                                hits[n_hits, 3] = starts[begin] - offsets[text]
                                hits[n_hits, 4] = ends[at] - offsets[text]
                                n_hits += 1
                        entry = np.int64(index.next_entry[entry])
            if touched:
                for last in range(held, total):
                    if cover[last] == 0:
                        continue
                    run_start = starts[last + 1 - cover[last]] - offsets[text]
                    run_end = ends[last] - offsets[text]
                    cover[last] = 0
                    while n_runs > runs_before and runs[n_runs - 1, 2] >= run_start:
                        n_runs -= 1
                        run_start = min(run_start, runs[n_runs, 1])
                    if n_runs == len(runs):
                        return text, hits_before, runs_before
                    runs[n_runs, 0] = text
                    runs[n_runs, 1] = run_start
                    runs[n_runs, 2] = run_end
                    n_runs += 1
            keep = min(history, total)
            drop = total - keep
            for i in range(keep):
                hashes[i], starts[i], ends[i] = hashes[drop + i], starts[drop + i], ends[drop + i]
            held, base = keep, base + drop
    return len(offsets) - 1, n_hits, n_runs
