"""Gathering: packed rows from memory-mapped token datasets into the arrays that a model takes.

In: numbers of packed rows, and their sources. Out: the pieces of each row, and `input_ids`,
`labels`, `position_ids`, int64[n, seq]. Shown by: `python -m bench.plan`. Limit: the pages of a
corpus larger than memory come from disk in the order of the plan, that is at random.

Tokens are copied once, from the file's pages into the batch, by kernels that find rows, pieces and
documents by address: no Python object a row, no lock of the interpreter. Labels equal the tokens
(models shift them); -100 marks what bears no loss: padding, tokens that the source masked, and the
first token of every piece, which has nothing before it to be predicted from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from numba import njit

from gristmill.errors import StoreError
from gristmill.mapped import Tokens, open_tokens
from gristmill.store import Dataset, Store
from mixtures.plan.addresses import (
    U64,
    Addresses,
    columns_of,
    find,
    load_i32,
    load_i64,
    load_u8,
    load_u16,
    load_u32,
)
from mixtures.plan.block import I64
from mixtures.plan.spec import Spec

IGNORED = -100  # the label that cross entropy leaves out
I32 = npt.NDArray[np.int32]
_PREFIX = 4  # bytes of a binary value's length
_DONE, _MISSING, _MISSING_TOKENS, _BAD_PIECE, _BAD_SPAN = range(5)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of n rows, flat: row r has `first[r]` up to `first[r + 1]`."""

    first: I64  # [n + 1]
    document: I64  # [m] of its source
    offset: I64  # [m] in the document, in tokens
    length: I64  # [m]
    address: U64  # [m] of its first token
    mask: U64  # [m] of its first token's mask; 0: all tokens bear loss
    wide: npt.NDArray[np.bool_]  # [m] four bytes a token, not two


class Gatherer:
    """The mixture's columns and its sources' tokens, opened when first needed."""

    def __init__(self, store: Store, packed: Dataset, pieces: Dataset, spec: Spec) -> None:
        self._store, self._spec, self._ref = store, spec, packed.ref
        self._packed = Addresses([columns_of(packed, ["first_piece", "pieces", "epoch"])], 3)
        self._pieces = Addresses([columns_of(pieces, ["document", "offset", "length"])], 3)
        if (packed.rows, pieces.rows) != (len(spec), sum(s.pieces for s in spec.sources)):
            raise StoreError(
                f"{packed.ref} has {packed.rows:,} rows of {pieces.rows:,} pieces, its plan says "
                f"{len(spec):,} of {sum(s.pieces for s in spec.sources):,}; build the mixture again"
            )
        self._first_piece = np.array([s.first_piece for s in spec.sources], np.int64)
        self._tokens: dict[int, Tokens] = {}
        self._wide = np.zeros(len(spec.sources), np.bool_)
        self._documents: Addresses | None = None

    def rows(self, rows: I64, source: I64) -> tuple[I64, I64, I64]:
        """Of packed rows [n]: pieces summed up [n + 1], the first piece [n], the epoch [n]."""
        first, (begin, epoch) = (
            np.zeros(len(rows) + 1, np.int64),
            np.empty((2, len(rows)), np.int64),
        )
        given = (rows, source, self._first_piece, first, begin, epoch)
        self._run(lambda: _rows(self._packed.tables, *given))
        return first, begin, epoch

    def pieces(self, rows: I64, source: I64) -> Pieces:
        """The pieces of packed rows: [n], [n] -> Pieces."""
        first, begin, _ = self.rows(rows, source)
        total = int(first[-1])
        document, offset, length = np.empty((3, total), np.int64)
        address, mask = np.empty((2, total), np.uint64)
        wide, documents = np.empty(total, np.bool_), self.documents
        out = (document, offset, length, address, mask, wide)
        self._run(
            lambda: _pieces(
                self._pieces.tables,
                documents.tables,
                documents.bases,
                self._wide,
                (first, begin, source),
                out,
            ),
            out,
        )
        return Pieces(first, *out)

    def fill(self, pieces: Pieces, seq: int) -> tuple[I64, I64, I64]:
        """Pieces of n rows -> input_ids, labels and position_ids, int64[n, seq] each."""
        # One block: freed at once and whole, its pages are there for the next batch.
        out = np.empty((3, len(pieces.first) - 1, seq), np.int64)
        spans = (pieces.first, pieces.length, pieces.address, pieces.mask, pieces.wide)
        restart = self._spec.attention == "document"
        largest = _fill(out, *spans, self._spec.pad, restart)
        if largest < 0:
            raise StoreError(
                f"{self._ref}: a row's pieces are longer than {seq} tokens; build the mixture again"
            )
        if largest >= self._spec.vocab_size:
            raise StoreError(
                f"token {largest} is outside the vocabulary of {self._spec.vocab_size:,} of "
                f"{self._spec.tokenizer}; tokenise the source again"
            )
        return out[0], out[1], out[2]

    def tokens(self, number: int) -> Tokens:
        """The token dataset of a source."""
        if number not in self._tokens:
            tokens = open_tokens(self._store[self._spec.sources[number].ref])
            self._wide[number] = tokens.dtype.itemsize == 4
            self._tokens[number] = tokens
        return self._tokens[number]

    @property
    def documents(self) -> Addresses:
        """The sources' documents, one source after another."""
        if self._documents is None:
            parts = [
                (self._store[source.ref], lambda shard, n=n: self.tokens(n).groups(shard))
                for n, source in enumerate(self._spec.sources)
            ]
            self._documents = Addresses(parts, 4)
        return self._documents

    def document_id(self, number: int, document: int) -> str:
        """The id of a source's document, by its row number."""
        dataset = self.tokens(number).dataset
        for shard, path in zip(dataset.manifest["shards"], dataset.files, strict=True):
            if document >= shard["rows"]:
                document -= shard["rows"]
                continue
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    rows = file.metadata.row_group(group).num_rows
                    if document < rows:
                        table = file.read_row_group(group, columns=["id"])
                        return str(table["id"][document].as_py())
                    document -= rows
        raise StoreError(f"{dataset.ref} has no document {document}")

    def _run(self, kernel: Callable[[], tuple[int, int]], out: tuple[Any, ...] = ()) -> None:
        """Call a kernel until the shards that it needs are open."""
        while True:
            code, number = kernel()
            if code == _DONE:
                return
            if code == _MISSING:
                (self._pieces if out else self._packed).open(number)
            elif code == _MISSING_TOKENS:
                self.documents.open(number)
            elif code == _BAD_PIECE:
                raise StoreError(
                    f"{self._ref}: a row names piece {number}, which is not there; "
                    "build the mixture again"
                )
            else:
                document, offset, length = (int(column[number]) for column in out[:3])
                raise StoreError(
                    f"{self._ref}: a piece takes tokens {offset} to {offset + length} of document "
                    f"{document}, which has fewer, or is not there; build the mixture again"
                )


@njit(cache=True, nogil=True, boundscheck=False)
def _rows(packed, rows, source, bases, first, begin, epoch):  # type: ignore[no-untyped-def]
    """Where each row's pieces begin among all pieces, and how many there are, summed up."""
    total = np.int64(0)
    for r in range(len(rows)):
        group = find(packed, rows[r])
        if group < 0:
            return _MISSING, -1 - group
        place, columns = np.uint64(rows[r] - packed.bounds[group]), packed.columns[group]
        begin[r] = load_i64(columns[0] + place * np.uint64(8)) + bases[source[r]]
        count = load_i32(columns[1] + place * np.uint64(4))
        epoch[r] = load_i32(columns[2] + place * np.uint64(4))
        if begin[r] < 0 or count < 0:
            return _BAD_PIECE, begin[r]
        total += count
        first[r + 1] = total
    return _DONE, np.int64(0)


@njit(cache=True, nogil=True, boundscheck=False)
def _pieces(pieces, tokens, bases, wide, rows, out):  # type: ignore[no-untyped-def]
    """Each piece's document, span and address; checked, since what follows reads by address."""
    first, begin, source = rows
    document, offset, length, address, mask, wides = out
    last = pieces.shards[-1]
    for r in range(len(begin)):
        of = source[r]
        for p in range(first[r], first[r + 1]):
            number = begin[r] + p - first[r]
            if number >= last:
                return _BAD_PIECE, number
            group = find(pieces, number)
            if group < 0:
                return _MISSING, -1 - group
            place, columns = np.uint64(number - pieces.bounds[group]), pieces.columns[group]
            document[p] = load_i64(columns[0] + place * np.uint64(8))
            offset[p] = load_i32(columns[1] + place * np.uint64(4))
            length[p] = load_i32(columns[2] + place * np.uint64(4))
            row = document[p] + bases[of]
            if document[p] < 0 or row >= bases[of + 1]:
                return _BAD_SPAN, p
            group = find(tokens, row)
            if group < 0:
                return _MISSING_TOKENS, -1 - group
            place, columns = np.uint64(row - tokens.bounds[group]), tokens.columns[group]
            count = load_i32(columns[1] + place * np.uint64(4))
            if offset[p] < 0 or length[p] < 0 or offset[p] + length[p] > count:
                return _BAD_SPAN, p
            at = np.uint64(load_i64(columns[0] + place * np.uint64(8)) + offset[p])
            before = (place + np.uint64(1)) * np.uint64(_PREFIX)
            width = np.uint64(4) if wide[of] else np.uint64(2)
            address[p] = columns[2] + before + at * width
            mask[p] = columns[3] + before + at if columns[3] else np.uint64(0)
            wides[p] = wide[of]
    return _DONE, np.int64(0)


@njit(cache=True, nogil=True, boundscheck=False)
def _fill(out, first, lengths, address, masks, wide, pad, restart):  # type: ignore[no-untyped-def]
    """Fill [3, n, seq]; the largest token, or -1 where a row's pieces are longer than seq."""
    ids, labels, positions = out[0], out[1], out[2]
    n, seq = ids.shape
    largest: Any = np.int64(0)
    for r in range(n):
        at: Any = 0
        for p in range(first[r], first[r + 1]):
            size, here = lengths[p], address[p]
            if at + size > seq:
                return np.int64(-1)
            row, label = ids[r, at : at + size], labels[r, at : at + size]
            if wide[p]:
                for j in range(size):
                    row[j] = load_u32(here + np.uint64(4 * j))
            else:
                for j in range(size):
                    row[j] = load_u16(here + np.uint64(2 * j))
            for j in range(size):
                largest = max(largest, row[j])
                label[j] = row[j]
            if masks[p]:
                for j in range(size):
                    if not load_u8(masks[p] + np.uint64(j)):
                        label[j] = IGNORED
            if size:
                label[0] = IGNORED
            if restart:
                place = positions[r, at : at + size]
                for j in range(size):
                    place[j] = j
            at += size
        ids[r, at:] = pad
        labels[r, at:] = IGNORED
        if restart:
            for j in range(seq - at):
                positions[r, at + j] = j
        else:
            for j in range(seq):
                positions[r, j] = j
    return largest
