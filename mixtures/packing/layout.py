"""Layouts: which documents of a window share which row, before any row has come out.

In: a `Pool` of what is waiting to be packed, a `Layout` of it. Out: pieces, row by row.
Shown by: `python -m bench.packing`. Limit: a window's documents and rows stand in memory.

A layout says how many tokens of a document a row takes, not which ones: a document's tokens are
given out from its start as its rows come out. So what is left of a document is always its end,
whatever order the rows come in and wherever they stop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

import gristmill.text  # noqa: F401  # says where compiled kernels are kept

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Pool:
    """Documents, or ends of documents, that are waiting to be packed: arrays of one length."""

    document: I64
    offset: I64  # tokens of the document that are out already
    length: I64  # tokens that are left, at least 1
    waited: Bools  # in a row that an earlier window left open

    def __len__(self) -> int:
        return len(self.document)

    def extend(self, document: npt.NDArray[np.integer], length: npt.NDArray[np.integer]) -> None:
        """Add whole documents after those that are waiting."""
        new = len(document)
        self.document = np.concatenate((self.document, np.asarray(document, np.int64)))
        self.offset = np.concatenate((self.offset, np.zeros(new, np.int64)))
        self.length = np.concatenate((self.length, np.asarray(length, np.int64)))
        self.waited = np.concatenate((self.waited, np.zeros(new, bool)))

    def keep(self, which: Bools) -> None:
        """Forget the others."""
        self.document, self.offset = self.document[which], self.offset[which]
        self.length, self.waited = self.length[which], self.waited[which]


def empty_pool() -> Pool:
    """A pool of nothing."""
    none = np.zeros(0, np.int64)
    return Pool(none, none, none, np.zeros(0, bool))


@dataclass(frozen=True, slots=True)
class Layout:
    """Row r takes `length[c]` tokens of document `item[c]` of the pool, c in starts[r]:starts[r+1].

    Only the rows in `order` come out, in that order; documents of other rows wait.
    """

    starts: I64
    item: I32
    length: I32
    order: I64


@dataclass(frozen=True, slots=True)
class Filled:
    """Rows that came out, and what became of their tokens and documents."""

    pieces: I32
    tokens: I32
    document: I64
    offset: I32
    length: I32
    kept_whole: int
    kept_split: int
    cut: int  # tokens past the end of a row of `one_per_row`
    documents_whole: int
    documents_split: int


def fill(pool: Pool, layout: Layout, count: int, cut: bool) -> Filled:
    """The first `count` rows of a layout; moves the pool's documents on, to length 0 when all out.

    `cut`: what a document has past its row is given up.
    """
    order = layout.order[:count]
    pieces = np.diff(layout.starts)[order].astype(np.int32)
    size = int(pieces.sum(dtype=np.int64))
    out = np.empty(size, np.int64), np.empty(size, np.int32), np.empty(size, np.int32)
    tokens = np.empty(len(order), np.int32)
    chunks = layout.starts, layout.item, layout.length
    counts = _fill(order, *chunks, pool.document, pool.offset, pool.length, cut, *out, tokens)
    return Filled(pieces, tokens, *out, *(int(number) for number in counts))


@njit(cache=True, nogil=True)
def _fill(order, starts, item, take, document, offset, left, cut, documents, offsets, lengths, out):  # type: ignore[no-untyped-def]
    """Writes the pieces; returns the five counts of `Filled`."""
    kept_whole = kept_split = dropped = np.int64(0)
    whole = split = place = 0
    for k in range(len(order)):
        row, tokens = order[k], np.int64(0)
        for chunk in range(starts[row], starts[row + 1]):
            i, length = item[chunk], np.int64(take[chunk])
            documents[place] = document[i]
            offsets[place] = offset[i]
            lengths[place] = length
            if offset[i] == 0 and length == left[i]:
                kept_whole += length
                whole += 1
            else:
                kept_split += length
            split_before = offset[i] > 0 or length < left[i]
            offset[i] += length
            left[i] -= length
            if cut:
                dropped += left[i]
                left[i] = 0
            if left[i] == 0 and split_before:
                split += 1
            tokens += length
            place += 1
        out[k] = tokens
    return kept_whole, kept_split, dropped, whole, split
