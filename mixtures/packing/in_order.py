"""Layouts that keep the order of the documents: concat, one_per_row, greedy.

In: lengths of the documents of a window, and of a row. Out: a `Layout` whose rows come out in
order. Shown by: `python -m bench.packing`. Limit: `greedy` pads where best fit would look further.
"""

from __future__ import annotations

import numpy as np
from numba import njit

import gristmill.text  # noqa: F401  # says where compiled kernels are kept
from mixtures.packing.layout import I64, Layout


def concat(left: I64, seq: int, last: bool) -> Layout:
    """End to end, split wherever a row ends; the last, open row waits unless `last`."""
    total = int(left.sum())
    rows = -(-total // seq)
    starts, item, length = _concat(left, seq, rows)
    return Layout(starts, item, length, np.arange(rows if last else total // seq))


def one_per_row(left: I64, seq: int, last: bool) -> Layout:
    """A row for each document, up to `seq` of its tokens."""
    del last  # no row is ever open
    items = np.arange(len(left) + 1)
    length = np.minimum(left, seq).astype(np.int32)
    return Layout(items, items[:-1].astype(np.int32), length, items[:-1])


def greedy(left: I64, seq: int, last: bool) -> Layout:
    """A document that does not fit closes the row; one longer than a row is cut, from a new row on.

    The last row waits unless it is full or `last`.
    """
    chunks = int((-(-left // seq)).sum())
    starts, item, length, room = _greedy(left, seq, chunks)
    rows = len(starts) - 1
    return Layout(starts, item, length, np.arange(rows if last or not room else rows - 1))


@njit(cache=True, nogil=True)
def _concat(left, seq, rows):  # type: ignore[no-untyped-def]
    starts = np.zeros(rows + 1, np.int64)
    item = np.empty(len(left) + rows, np.int32)
    length = np.empty(len(left) + rows, np.int32)
    chunk, row, room = 0, 0, seq
    for i in range(len(left)):
        rest = left[i]
        while rest:
            part = min(rest, room)
            item[chunk], length[chunk] = i, part
            chunk += 1
            rest -= part
            room -= part
            if not room:
                row, room = row + 1, seq
                starts[row] = chunk
    if room < seq:
        starts[row + 1] = chunk
    return starts, item[:chunk], length[:chunk]


@njit(cache=True, nogil=True)
def _greedy(left, seq, chunks):  # type: ignore[no-untyped-def]
    starts = np.zeros(chunks + 1, np.int64)
    item = np.empty(chunks, np.int32)
    length = np.empty(chunks, np.int32)
    chunk, row, room = 0, -1, 0  # row -1 is full: the first document opens row 0
    for i in range(len(left)):
        rest = left[i]
        while rest:
            if rest > room:
                row, room = row + 1, seq
            part = min(rest, room)
            item[chunk], length[chunk] = i, part
            chunk += 1
            rest -= part
            room -= part
            starts[row + 1] = chunk
    return starts[: row + 2], item, length, room
