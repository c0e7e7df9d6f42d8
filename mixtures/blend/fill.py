"""Filling rows: one source's documents through all segments of a mixture, into rows and pieces.

In: a source, its documents in order, rows and row length of each segment. Out: the mixture's packed
rows and pieces, and the source's entries of the token ledger. Shown by: `gristmill run` of a recipe
with `use: mixture`. Limit: a source is filled by one task, because each window goes on with what
the one before left open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gristmill.errors import RecipeError
from gristmill.mapped import Tokens, open_tokens
from gristmill.schema import kind
from gristmill.shards import stored
from gristmill.step import TaskContext
from gristmill.store import Store
from mixtures.blend.inject import Insertion, pack
from mixtures.blend.memory import count_zeros, rows_without_loss
from mixtures.blend.order import Feed
from mixtures.blend.selection import load
from mixtures.blend.token_ledger import Entry, as_dicts, check_entries
from mixtures.packing import Account, Packer

PIECES = ".pieces"
CHECK = 1 << 17  # documents counted again at a time
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Filling:
    """What a task needs to fill one source's rows; picklable."""

    number: int  # of the source in the mixture
    name: str
    ref: str
    documents: int
    selection: Path | None  # its documents' row numbers, or None for all of the dataset
    first: int  # of its rows in the selection
    shuffle: bool


class Writer:
    """Rows and pieces of one source, with the running number of its pieces.

    Each row names its mixture, so that mixtures which differ in pieces, order or attention alone
    are different versions.
    """

    def __init__(self, ctx: TaskContext, source: int, tokens: Tokens, mixture: str) -> None:
        self._source, self._tokens, self._mixture = source, tokens, mixture
        self._packed_schema = stored(
            kind("packed").required.append(pa.field("mixture", pa.string())), kind("packed").mapped
        )
        self._pieces_schema = stored(kind("pieces").required, kind("pieces").mapped)
        self._packed = ctx.writer("", self._packed_schema)
        self._pieces = ctx.writer(PIECES, self._pieces_schema)
        self.rows = self.pieces = self.tokens = self.masked = 0
        self.bare = 0  # rows in which the mask leaves no token

    def write(
        self, segment: int, epoch: I32, pieces: I32, filled: I32,
        document: I64, offset: I32, length: I32,
    ) -> None:  # fmt: skip
        """n rows with their m pieces."""
        rows = len(pieces)
        first = np.cumsum(pieces, dtype=np.int64) - pieces + self.pieces
        constant = [np.full(rows, number, np.int32) for number in (segment, self._source)]
        columns = [*constant, epoch, first, pieces, filled, pa.repeat(self._mixture, rows)]
        self._packed.write(pa.Table.from_arrays(list(map(pa.array, columns)),
                                                schema=self._packed_schema))  # fmt: skip
        columns = [document, offset, length]
        self._pieces.write(pa.Table.from_arrays(list(map(pa.array, columns)),
                                                schema=self._pieces_schema))  # fmt: skip
        self.rows += rows
        self.pieces += len(document)
        self.tokens += int(filled.sum(dtype=np.int64))
        self._count_loss(pieces, document, offset, length)

    def _count_loss(self, pieces: I32, document: I64, offset: I32, length: I32) -> None:
        """Without loss: the first token of each piece, and what the dataset's mask leaves out."""
        masks = self._tokens.mask_addresses(document)
        self.masked += int((length > 0).sum())
        if masks is not None:
            self.masked += int(count_zeros(masks, offset + 1, length - 1))
            self.bare += int(rows_without_loss(pieces, length, offset, masks))


def fill_sources(
    ctx: TaskContext,
    store: str,
    fillings: Sequence[Filling],
    segments: Sequence[Sequence[tuple[int, int]]],
    **how: Any,
) -> dict[str, Any]:
    """Rows of sources that follow each other; `segments`: (rows, row length) of each, for each."""
    pairs = zip(fillings, segments, strict=True)
    return {"sources": [_fill_source(ctx, store, *pair, **how) for pair in pairs]}


def _fill_source(
    ctx: TaskContext,
    store: str,
    filling: Filling,
    segments: Sequence[tuple[int, int]],
    mixture: str,
    method: str,
    window: int,
    seed: int,
) -> dict[str, Any]:
    tokens = open_tokens(Store(store)[filling.ref])
    rows = load(filling.selection, filling.first, filling.documents)
    feed = Feed(tokens, rows, filling.documents, seed, filling.name, filling.shuffle)
    packer = Packer(method, feed, filling.documents, feed.seed, window)
    writer = Writer(ctx, filling.number, tokens, mixture)
    entries: list[Entry] = []
    before = packer.account()
    try:
        for number, (wanted, seq) in enumerate(segments):
            masked = writer.masked
            for packed in packer.rows(wanted, seq):
                writer.write(number, packed.epoch, packed.pieces, packed.tokens, packed.document,
                             packed.offset, packed.length)  # fmt: skip
                ctx.advance(len(packed.pieces) * seq)
            now = packer.account()
            entries.append(_entry(now, before, seq, writer.masked - masked))
            before = now
    except RecipeError as error:
        raise RecipeError(f"source {filling.name!r}: {error}") from None
    epochs, rest = divmod(feed.documents, filling.documents)
    again = Feed(tokens, rows, filling.documents, seed, filling.name, filling.shuffle)
    counted = _count(again, 0, filling.documents) * epochs + _count(again, epochs, rest)
    check_entries(filling.name, entries, feed.tokens, counted)
    return _record(writer, entries)


def _count(feed: Feed, epoch: int, documents: int) -> int:
    """Tokens of the first documents of an epoch, by the dataset's own counts."""
    before = feed.tokens
    for first in range(0, documents, CHECK):
        feed(epoch, first, min(CHECK, documents - first))
    return feed.tokens - before


def _entry(now: Account, before: Account, seq: int, masked: int) -> Entry:
    here = now - before
    return Entry(
        here.rows, seq, here.drawn, here.kept_whole, here.kept_split, here.dropped, now.carried,
        here.padding, masked, here.documents_drawn,
    )  # fmt: skip


def fill_injected(
    ctx: TaskContext,
    store: str,
    filling: Filling,
    parts: Sequence[tuple[Path | None, int, int]],
    insertions: Sequence[Insertion],
    ends: Sequence[int],
    seqs: Sequence[int],
    mixture: str,
) -> dict[str, Any]:
    """Rows of the injected dataset, insertion after insertion.

    parts: (selection or None, first row in it, documents) of each entry of `inject`.
    ends, seqs: where each segment ends, in rows, and its row length.
    """
    tokens = open_tokens(Store(store)[filling.ref])
    writer = Writer(ctx, filling.number, tokens, mixture)
    entries = [Entry(0, seq, *(0,) * 8) for seq in seqs]
    total = 0
    for insertion in insertions:
        documents = entry_documents(*parts[insertion.entry])
        lengths = tokens.take_counts(documents)
        packing = pack(lengths, insertion.seq)
        total += int(lengths.sum(dtype=np.int64))
        first, row = 0, insertion.first_row
        while first < insertion.rows:  # an insertion may reach over the end of a segment
            segment = int(np.searchsorted(np.array(ends), row, "right"))
            count = min(insertion.rows - first, ends[segment] - row)
            cut = slice(int(packing.first[first]), int(packing.first[first + count]))
            pieces = np.diff(packing.first[first : first + count + 1]).astype(np.int32)
            offset, length = packing.offset[cut], packing.length[cut]
            sums = np.concatenate(([0], np.cumsum(length, dtype=np.int64)))
            starts = packing.first[first : first + count + 1] - packing.first[first]
            filled = np.diff(sums[starts]).astype(np.int32)
            whole = (offset == 0) & (length == lengths[packing.document[cut]])
            masked = writer.masked
            epoch = np.full(count, insertion.repetition, np.int32)
            writer.write(segment, epoch, pieces, filled, documents[packing.document[cut]],
                         offset, length)  # fmt: skip
            entry, kept = entries[segment], int(length.sum(dtype=np.int64))
            entry.rows += count
            entry.drawn += kept
            entry.kept += int(length[whole].sum(dtype=np.int64))
            entry.split += int(length[~whole].sum(dtype=np.int64))
            entry.padding += count * seqs[segment] - kept
            entry.masked += writer.masked - masked
            entry.documents += int((offset == 0).sum())
            first, row = first + count, row + count
        ctx.advance(insertion.rows * insertion.seq)
    check_entries(filling.name, entries, sum(entry.drawn for entry in entries), total)
    return {"sources": [_record(writer, entries)]}


def entry_documents(selection: Path | None, first: int, count: int) -> I64:
    """Row numbers of an injected entry's documents."""
    rows = load(selection, first, count)
    return np.arange(count, dtype=np.int64) if rows is None else np.asarray(rows)


def _record(writer: Writer, entries: Sequence[Entry]) -> dict[str, Any]:
    return {
        "rows": writer.rows,
        "pieces": writer.pieces,
        "tokens": writer.tokens,
        "bare": writer.bare,
        "ledger": as_dicts(entries),
    }
