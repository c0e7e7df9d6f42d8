"""What every format writes: sequences of tokens end to end, some at a time.

In: a token dataset, or the rows of a plan. Out: `Sequences` of a few million tokens each, and the
same cut into parts of a size. Shown by: `gristmill export tokens/web --to olmo --out web-olmo`.
Limit: one sequence lies in memory whole, so a document of gigabytes needs as much.

A sequence is a document, or a training row with the pieces of several documents in it. Nothing here
makes a Python object a sequence: they are slices of arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gristmill.errors import StoreError
from gristmill.mapped import open_tokens
from gristmill.store import Dataset
from mixtures.plan import Plan
from mixtures.plan.gather import IGNORED

I64 = npt.NDArray[np.int64]
Tokens = npt.NDArray[Any]  # uint16 or uint32, little-endian
Mask = npt.NDArray[np.bool_]

DOCUMENTS = 4096  # read at a time
ROW_TOKENS = 1 << 20  # of rows, at a time: 24 MB as a model takes them


@dataclass(frozen=True, slots=True)
class Sequences:
    """Some documents or rows, end to end."""

    numbers: I64  # [n] row numbers in the dataset, or positions in the plan
    tokens: Tokens  # [t] padding of rows included
    lengths: I64  # [n] tokens of each sequence, padding included
    pieces: I64  # [n] pieces of each: 1 for a document
    spans: I64  # [m] tokens of each piece; what a row has beyond its pieces is padding
    mask: Mask | None = None  # [t] tokens that bear loss; None: all
    seq: int = 0  # length of every row; 0 for documents

    def __len__(self) -> int:
        return len(self.lengths)

    def between(self, start: int, stop: int) -> Sequences:
        """Sequences `start` to `stop` of these, as views."""
        token, piece = edges(self.lengths), edges(self.pieces)
        tokens = slice(int(token[start]), int(token[stop]))
        return replace(
            self,
            numbers=self.numbers[start:stop],
            tokens=self.tokens[tokens],
            lengths=self.lengths[start:stop],
            pieces=self.pieces[start:stop],
            spans=self.spans[piece[start] : piece[stop]],
            mask=None if self.mask is None else self.mask[tokens],
        )

    def bounds(self) -> tuple[I64, I64]:
        """Where each piece begins and ends among `tokens`: [m], [m]."""
        before = edges(self.spans)
        shift = edges(self.lengths)[:-1] - before[edges(self.pieces)[:-1]]
        start = before[:-1] + np.repeat(shift, self.pieces)
        return start, start + self.spans

    def real(self) -> Mask:
        """Which tokens are no padding: [t]."""
        start, stop = self.bounds()
        change = np.zeros(len(self.tokens) + 1, np.int32)
        np.add.at(change, start, 1)
        np.subtract.at(change, stop, 1)
        return np.cumsum(change[:-1]).astype(bool)


def edges(sizes: I64) -> I64:
    """Running sums with a 0 in front: [n] -> [n + 1]."""
    out = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=out[1:])
    return out


def documents_of(dataset: Dataset) -> Iterator[Sequences]:
    """A token dataset's documents in row order; those of no tokens are left out.

    Raises StoreError where tokens and counts disagree.
    """
    dtype = open_tokens(dataset).dtype
    masked = "loss_mask" in dataset.schema.names
    row = 0
    for batch in dataset.scan(["count", "tokens", *(["loss_mask"] * masked)], DOCUMENTS):
        counts = batch["count"].to_numpy().astype(np.int64)
        tokens = _flat(batch["tokens"], counts * dtype.itemsize, row, dataset).view(dtype)
        mask = _flat(batch["loss_mask"], counts, row, dataset) != 0 if masked else None
        kept = np.flatnonzero(counts)
        ones = np.ones(len(kept), np.int64)
        if len(kept):
            yield Sequences(row + kept, tokens, counts[kept], ones, counts[kept], mask)
        row += len(counts)


def rows_of(plan: Plan) -> Iterator[Sequences]:
    """A plan's rows in order, with their padding."""
    dtype = np.dtype(np.uint16 if plan.spec.vocab_size <= 1 << 16 else np.uint32)
    for segment in plan.segments:
        step = max(1, ROW_TOKENS // segment.seq)
        for first in range(segment.start, segment.stop, step):
            numbers = np.arange(first, min(first + step, segment.stop))
            rows, (pieces, spans) = plan.rows(numbers), plan.spans(numbers)
            tokens = rows["input_ids"].astype(dtype).ravel()
            mask = (rows["labels"] != IGNORED).ravel()
            lengths = np.full(len(numbers), segment.seq, np.int64)
            yield Sequences(numbers, tokens, lengths, pieces, spans, mask, segment.seq)


def _flat(column: pa.Array, sizes: I64, row: int, dataset: Dataset) -> npt.NDArray[np.uint8]:
    """The bytes of a binary column end to end, after a look at every value's size."""
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    wrong = np.flatnonzero(np.diff(bounds) != sizes)
    if len(wrong):
        raise StoreError(
            f"{dataset.ref}: row {row + int(wrong[0])} does not hold as many tokens as it counts; "
            "`gristmill verify` tells whether a shard is damaged, else tokenise again"
        )
    if data is None:
        return np.empty(0, np.uint8)
    return np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]]


def pieces_of(rows: Iterable[Sequences]) -> Iterator[Sequences]:
    """The pieces of rows as sequences of their own, without padding, in the same order."""
    for some in rows:
        filled = some.spans > 0
        real = some.real()
        spans = some.spans[filled]
        mask = None if some.mask is None else some.mask[real]
        yield Sequences(
            np.repeat(some.numbers, some.pieces)[filled],
            some.tokens[real],
            spans,
            np.ones(len(spans), np.int64),
            spans,
            mask,
        )


def parts(
    stream: Iterable[Sequences], most: int | None, extra: int = 0
) -> Iterator[Iterator[Sequences]]:
    """Cut a stream into parts: of at most `most` bytes, and of rows of one length.

    A sequence takes its tokens and `extra` bytes; one that is larger than `most` gets a part of its
    own. Where parts begin does not depend on how the stream came in pieces. Each part must be read
    to its end before the next is asked for.
    """
    cutter = _Cutter(stream, most, extra)
    while cutter.more():
        yield cutter.part()


class _Cutter:
    """The stream's head: what was read and not yet given out."""

    def __init__(self, stream: Iterable[Sequences], most: int | None, extra: int) -> None:
        self._stream = iter(stream)
        self._most = most if most is not None else 1 << 62
        self._extra = extra
        self._head: Sequences | None = None

    def more(self) -> bool:
        """Whether any sequence is left."""
        while self._head is None or not len(self._head):
            self._head = next(self._stream, None)
            if self._head is None:
                return False
        return True

    def part(self) -> Iterator[Sequences]:
        """One part's sequences."""
        assert self._head is not None
        seq, room, empty = self._head.seq, self._most, True
        while self.more() and self._head.seq == seq:
            head = self._head
            ends = np.cumsum(head.lengths * head.tokens.itemsize + self._extra)
            taken = int(np.searchsorted(ends, room, "right")) or int(empty)
            if not taken:
                return
            self._head = head.between(taken, len(head))
            yield head.between(0, taken)
            room, empty = room - int(ends[taken - 1]), False
            if taken < len(head):
                return
