"""Gathering: packed rows from memory-mapped token datasets into the arrays that a model takes.

In: for each row its pieces (document, offset, length). Out: `input_ids`, `labels`, `position_ids`,
int64[n, seq]. Shown by: `python -m bench.plan`. Limit: little-endian machines; the pages of a
corpus larger than memory come from disk in the order of the plan, that is at random.

Tokens are copied once, from the file's pages into the batch: one kernel, no Python object a token,
no lock of the interpreter. Labels equal the tokens (models shift them); -100 marks what bears no
loss: padding, tokens that the source masked, and the first token of every piece, which has nothing
before it to be predicted from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

import gristmill.text  # noqa: F401  # says where compiled kernels are kept
from gristmill.errors import StoreError
from gristmill.mapped import Column, Tokens, open_column, open_tokens
from gristmill.store import Dataset, Store
from mixtures.block import I64
from mixtures.plan_spec import Source, Spec

IGNORED = -100  # the label that cross entropy leaves out
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of n rows, flat: row r has `first[r]` up to `first[r + 1]`."""

    first: I64  # [n + 1]
    source: I64  # [m]
    document: I64  # [m]
    offset: I32  # [m]
    length: I32  # [m]


class Gatherer:
    """The mixture's columns and its sources' tokens, opened when first needed."""

    def __init__(self, store: Store, packed: Dataset, pieces: Dataset, spec: Spec) -> None:
        self._store, self._spec = store, spec
        self._packed, self._pieces_of = packed, pieces
        self._columns: dict[str, Column] = {}
        self._tokens: dict[int, Tokens] = {}

    def packed(self, name: str) -> Column:
        """A column of the packed rows."""
        return self._column(self._packed, name)

    def pieces(self, rows: I64, source: I64) -> Pieces:
        """The pieces of packed rows: [n], [n] -> Pieces."""
        bases = np.array([s.first_piece for s in self._spec.sources], np.int64)
        counts = self.packed("pieces").take(rows)
        first = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(counts, out=first[1:])
        begins = self.packed("first_piece").take(rows) + bases[source]
        places = np.repeat(begins - first[:-1], counts) + np.arange(first[-1])
        column = self._pieces_of
        return Pieces(
            first,
            np.repeat(source, counts),
            self._column(column, "document").take(places),
            self._column(column, "offset").take(places),
            self._column(column, "length").take(places),
        )

    def fill(self, pieces: Pieces, seq: int) -> tuple[I64, I64, I64]:
        """Pieces of n rows -> input_ids, labels and position_ids, int64[n, seq] each."""
        rows, total = len(pieces.first) - 1, len(pieces.document)
        address, mask = np.zeros(total, np.uint64), np.zeros(total, np.uint64)
        width = np.zeros(total, np.int64)
        for number in np.unique(pieces.source).tolist():
            here = np.flatnonzero(pieces.source == number)
            tokens = self.tokens(number)
            documents = pieces.document[here]
            self._check(pieces, here, tokens)
            width[here] = tokens.dtype.itemsize
            offset = pieces.offset[here].astype(np.uint64)
            address[here] = tokens.addresses(documents) + offset * tokens.dtype.itemsize
            masks = tokens.mask_addresses(documents)
            if masks is not None:
                mask[here] = masks + offset
        out = [np.empty((rows, seq), np.int64) for _ in range(3)]
        restart = self._spec.attention == "document"
        given = (pieces.first, pieces.length, address, mask, width)
        largest = _fill(*out, *given, self._spec.pad, restart)
        if largest < 0:
            raise StoreError(
                f"{self._packed.ref}: a row's pieces are longer than {seq} tokens; "
                "build the mixture again"
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
            self._tokens[number] = open_tokens(self._store[self._spec.sources[number].ref])
        return self._tokens[number]

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

    def _column(self, dataset: Dataset, name: str) -> Column:
        key = f"{dataset.name} {name}"
        if key not in self._columns:
            self._columns[key] = open_column(dataset, name)
        return self._columns[key]

    def _check(self, pieces: Pieces, here: I64, tokens: Tokens) -> None:
        """Pieces inside their documents: what follows reads memory by address."""
        offset, length = pieces.offset[here], pieces.length[here]
        inside = offset.astype(np.int64) + length <= tokens.take_counts(pieces.document[here])
        if not (inside & (offset >= 0) & (length >= 0)).all():
            bad = here[~(inside & (offset >= 0) & (length >= 0))][0]
            raise StoreError(
                f"{self._packed.ref}: tokens {pieces.offset[bad]} to "
                f"{pieces.offset[bad] + pieces.length[bad]} of document {pieces.document[bad]} lie "
                f"outside it in {tokens.dataset.ref}; build the mixture again"
            )


def _loader(bits: int, name: str) -> Any:
    """An intrinsic that loads an unsigned integer from an address that need not be aligned."""

    def load(typingctx, address):  # type: ignore[no-untyped-def]
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = builder.inttoptr(args[0], ir.IntType(bits).as_pointer())
            value = builder.load(pointer)
            value.align = 1
            return builder.zext(value, ir.IntType(64))

        return types.int64(types.uint64), codegen

    load.__name__ = load.__qualname__ = name
    return intrinsic(load)


_load8, _load16, _load32 = _loader(8, "_load8"), _loader(16, "_load16"), _loader(32, "_load32")


@njit(cache=True, nogil=True, boundscheck=False)
def _fill(ids, labels, positions, first, lengths, address, masks, widths, pad, restart):  # type: ignore[no-untyped-def]
    """Fill [n, seq] arrays; the largest token, or -1 where a row's pieces exceed it."""
    n, seq = ids.shape
    largest: Any = np.int64(0)
    for r in range(n):
        at: Any = 0
        for p in range(first[r], first[r + 1]):
            size, here = np.int64(lengths[p]), address[p]
            if at + size > seq:
                return np.int64(-1)
            row, label = ids[r, at : at + size], labels[r, at : at + size]
            if widths[p] == 2:
                for j in range(size):
                    row[j] = _load16(here + np.uint64(2 * j))
            else:
                for j in range(size):
                    row[j] = _load32(here + np.uint64(4 * j))
            for j in range(size):
                largest = max(largest, row[j])
                label[j] = row[j]
            if masks[p]:
                for j in range(size):
                    if not _load8(masks[p] + np.uint64(j)):
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


__all__ = ["IGNORED", "Gatherer", "Pieces", "Source"]
