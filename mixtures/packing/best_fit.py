"""Best fit decreasing: the longest document first, each into the fullest row that has room for it.

In: lengths of the documents of a window, and of a row. Out: a `Layout`. Shown by: `python -m
bench.packing`. Limit: a window is packed as a whole; the optimum is NP-hard and not sought.

As in "Fewer Truncations Improve Language Modeling" (Ding et al., arXiv 2404.10830), with another
table: rows stand in a list for each amount of room, and a tree of bit masks, 64 children a node,
finds the least room that suffices in three steps where a row has 262,144 places. Sorting is by
radix. So the work is linear in documents.
"""

from __future__ import annotations

import numpy as np
from numba import njit

import gristmill.text  # noqa: F401  # says where compiled kernels are kept
from gristmill.rng import permutation
from gristmill.text.simd import trailing_zeros
from mixtures.packing.layout import I64, Bools, Layout

FULL = 1024  # a row with less than 1/1024 of its places free is as good as full
SHARE = 8  # one row in eight may wait for the next window, the emptiest
_ONE, _LOW6 = np.uint64(1), np.int64(63)


def best_fit(
    left: I64, waited: Bools, seq: int, last: bool, seed: int, split: bool = True
) -> Layout:
    """Documents of a window into rows, which come out shuffled by `seed`.

    Longer ones than `seq` are cut into rows of their own and a rest, which is packed like a short
    document; without `split` they are left out. Rows with room wait for the next window unless
    `last`; but a row of which a part has waited before goes once it is half full.
    """
    starts, item, length, room, again = _best_fit(left, waited, seq, split)
    goes = np.ones(len(room), bool)
    if not last:
        waits = np.flatnonzero((room > seq // FULL) & ~(again & (2 * room <= seq)))
        most = max(1, len(room) // SHARE)
        if len(waits) > most:
            waits = waits[np.argsort(-room[waits], kind="stable")[:most]]
        goes[waits] = False
    order = np.flatnonzero(goes)
    if len(order):
        order = order[permutation(seed, len(order), np.arange(len(order)))]
    return Layout(starts, item, length, order)


@njit(cache=True, nogil=True)
def _longest_first(rest):  # type: ignore[no-untyped-def]
    """Indices by falling value, equal ones by rising index; eleven bits a pass."""
    n = len(rest)
    order, other = np.arange(n), np.empty(n, np.int64)
    largest = rest.max() if n else np.int64(0)
    shift = 0
    while largest >> shift:
        ends = np.zeros(2049, np.int64)
        for i in range(n):
            ends[2048 - ((rest[i] >> shift) & 2047)] += 1
        for digit in range(2048):
            ends[digit + 1] += ends[digit]
        for k in order:
            digit = 2047 - ((rest[k] >> shift) & 2047)
            other[ends[digit]] = k
            ends[digit] += 1
        order, other = other, order
        shift += 11
    return order


@njit(cache=True, nogil=True)
def _mark(bits, base, room, there):  # type: ignore[no-untyped-def]
    """Say that there are rows with this much room, or that there are none."""
    place = room
    for level in range(len(base)):
        word = base[level] + (place >> 6)
        bit = _ONE << np.uint64(place & _LOW6)
        if there:
            if bits[word]:
                bits[word] |= bit
                return  # the levels above know
            bits[word] |= bit
        else:
            bits[word] &= ~bit
            if bits[word]:
                return
        place >>= 6


@njit(cache=True, nogil=True)
def _least(bits, base, need):  # type: ignore[no-untyped-def]
    """The least room >= need that a row has, or -1."""
    place = need
    for level in range(len(base)):
        found = bits[base[level] + (place >> 6)] >> np.uint64(place & _LOW6)
        if found:
            place += trailing_zeros(found)
            for lower in range(level - 1, -1, -1):
                place = (place << 6) + trailing_zeros(bits[base[lower] + place])
            return place
        place = (place >> 6) + 1
    return np.int64(-1)


@njit(cache=True, nogil=True)
def _tree(size):  # type: ignore[no-untyped-def]
    """Empty masks for rooms 0 to size - 1, and where each level starts in them."""
    levels, words, width = 1, 0, (size >> 6) + 2
    while width > 2:
        words += width
        width = (width >> 6) + 2
        levels += 1
    base = np.zeros(levels, np.int64)
    width = (size >> 6) + 2
    for level in range(1, levels):
        base[level] = base[level - 1] + width
        width = (width >> 6) + 2
    return np.zeros(words + 2, np.uint64), base


@njit(cache=True, nogil=True)
def _best_fit(left, waited, seq, split):  # type: ignore[no-untyped-def]
    """Rows as in `Layout`, the room in each, and whether a part of it has waited before."""
    n = len(left)
    times, rest = np.zeros(n, np.int64), np.zeros(n, np.int64)  # full rows, and what they leave
    for i in range(n):
        if split or left[i] <= seq:
            times[i], rest[i] = left[i] // seq, left[i] % seq
    rows = full = times.sum()
    room = np.zeros(full + n, np.int64)
    again = np.zeros(full + n, np.bool_)
    row_of = np.full(n, -1, np.int64)
    bits, base = _tree(seq)
    top = np.full(seq, -1, np.int32)  # for each room, the row that came to it last
    below = np.empty(n, np.int32)  # for each row, the one that came before it
    for k in _longest_first(rest):
        need = rest[k]
        if not need:
            break
        free = _least(bits, base, need)
        if free < 0:
            row, free = rows, np.int64(seq)
            rows += 1
        else:
            row = full + np.int64(top[free])
            top[free] = below[row - full]
            if top[free] < 0:
                _mark(bits, base, free, False)
        row_of[k] = row
        again[row] |= waited[k]
        free -= need
        room[row] = free
        if free:
            below[row - full] = top[free]
            if top[free] < 0:
                _mark(bits, base, free, True)
            top[free] = row - full
    return *_chunks(rest, row_of, times, rows, seq), room[:rows], again[:rows]


@njit(cache=True, nogil=True)
def _chunks(rest, row_of, times, rows, seq):  # type: ignore[no-untyped-def]
    """By row, and within a row in the order of the documents; full rows come first."""
    starts = np.zeros(rows + 1, np.int64)
    starts[1 : times.sum() + 1] = 1
    for row in row_of:
        if row >= 0:
            starts[row + 1] += 1
    starts = np.cumsum(starts)
    item = np.empty(starts[rows], np.int32)
    length = np.full(starts[rows], seq, np.int32)
    place, chunk = starts[:rows].copy(), 0
    for i in range(len(rest)):
        row = row_of[i]
        if row >= 0:
            item[place[row]], length[place[row]] = i, rest[i]
            place[row] += 1
        for _ in range(times[i]):
            item[chunk] = i
            chunk += 1
    return starts, item, length
