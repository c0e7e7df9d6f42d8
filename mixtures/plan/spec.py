"""The arithmetic of a plan: which source, and which of its rows, stands at a global position.

In: the JSON that a mixture's `.plan` output holds. Out: for any positions, their segment, their
source and their row of the mixture's packed rows. Shown by: `python -m mixtures.plan STORE MIX 0`.
Limit: injected positions stand in memory, 8 bytes each.

Packed rows lie source by source, segment by segment within a source, in the order in which they are
taken. So a position needs a block (mixtures.plan.block), two divisions and two sums; nothing is
looked up in a table as long as the training run.

    {"format": 1, "name", "seed", "tokenizer": "NAME.tokenizer@version", "vocab_size", "pad",
     "attention": "document" | "row",
     "sources": [{"name", "ref": "tokens/web@version", "documents", "tokens", "rows", "pieces"}, …],
     "segments": [{"rows", "seq", "batch", "block": [slots of each source],
                   "counts": [rows of each source]}, …],
     "injected": {"source": index or null, "positions": [global positions, sorted]}}

`rows` and `counts` include injected rows; the injected source has no slots: its rows are taken in
order at its positions, and the block deals the other positions.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numba import njit

import gristmill.text  # noqa: F401  # says where compiled kernels are kept
from gristmill.errors import StoreError
from mixtures.plan.block import I64, U16, arrange, ranks, rows_of

FORMAT = 1


@lru_cache(maxsize=32)  # a plan of a thousand segments keeps no thousand blocks
def _ordered(block: tuple[int, ...]) -> tuple[U16, I64]:
    order = arrange(block)
    return order, ranks(order).astype(np.int64)


@dataclass(frozen=True)
class Segment:
    """A stretch of rows of one length, taken from the sources in fixed shares."""

    number: int
    start: int  # its first global position
    rows: int
    seq: int
    batch: int  # rows an optimiser step
    block: tuple[int, ...]
    counts: tuple[int, ...]
    dealt: tuple[int, ...]  # counts without injected rows
    injected: tuple[int, int]  # its part of the injected positions

    @property
    def stop(self) -> int:
        return self.start + self.rows

    @property
    def steps(self) -> int:
        """Whole optimiser steps."""
        return self.rows // self.batch

    @property
    def order(self) -> tuple[U16, I64]:
        """Source of each slot of the block, and how often it came before in the block."""
        return _ordered(self._checked_block)

    @cached_property
    def _checked_block(self) -> tuple[int, ...]:
        """The block, or StoreError if it does not give `counts`."""
        found = rows_of(_ordered(self.block)[0], sum(self.dealt), len(self.block))
        for source in np.flatnonzero(found != np.array(self.dealt)).tolist():
            raise StoreError(
                f"segment {self.number} of the plan gives source {source} {found[source]:,} rows "
                f"by its block, {self.dealt[source]:,} by its counts; build the mixture again"
            )
        return self.block

    @cached_property
    def slots(self) -> I64:
        """The block, as an array."""
        return np.array(self.block, np.int64)


@dataclass(frozen=True, slots=True)
class Source:
    """One source of the mixture, and where its rows and pieces begin in the mixture's."""

    name: str
    ref: str
    rows: int
    pieces: int
    first_row: int
    first_piece: int


class Spec:
    """A plan's description, checked."""

    def __init__(self, raw: Mapping[str, Any], ref: str) -> None:
        if raw.get("format") != FORMAT:
            raise StoreError(
                f"{ref}: plan format {raw.get('format')!r}; this Gristmill reads {FORMAT}: "
                "build the mixture again, or use the Gristmill that made it"
            )
        self.ref = ref
        self.tokenizer: str = raw["tokenizer"]
        self.vocab_size: int = raw["vocab_size"]
        self.pad: int = raw["pad"]
        self.attention: str = raw["attention"]
        self.positions = np.asarray(raw["injected"]["positions"], np.int64)
        self.injected = -1 if raw["injected"]["source"] is None else raw["injected"]["source"]
        self.sources = self._sources(raw)
        self.segments = self._segments(raw)
        self._check()
        self.ends = [segment.stop for segment in self.segments]
        counts = np.array([s.counts for s in self.segments], np.int64)
        self._bases = np.array([s.first_row for s in self.sources]) + np.cumsum(counts, 0) - counts

    def __len__(self) -> int:
        return self.ends[-1]

    def inside(self, positions: Sequence[int] | I64) -> I64:
        """Positions as an array; IndexError where one is none of the plan's."""
        asked = np.asarray(positions, np.int64)
        if asked.size and not 0 <= asked.min() <= asked.max() < len(self):
            outside = asked[(asked < 0) | (asked >= len(self))]
            raise IndexError(f"row {outside[0]} of a plan of {len(self):,} rows")
        return asked

    def segment_at(self, index: I64) -> int:
        """Number of the segment that all positions lie in, -1 if there are several (or none)."""
        if not index.size:
            return -1
        first = bisect_right(self.ends, int(index.min()))
        return first if index.max() < self.ends[first] else -1

    def segments_at(self, index: I64) -> I64:
        """Number of the segment of each position."""
        return np.searchsorted(self.ends, index, "right").astype(np.int64)

    def locate(self, index: I64) -> tuple[I64, I64]:
        """Positions [n] -> source of each, and its row in the mixture's packed rows."""
        number = self.segment_at(index)
        if number >= 0:
            return self._locate(number, index)
        numbers = self.segments_at(index)
        source, row = np.empty_like(index), np.empty_like(index)
        for number in np.unique(numbers).tolist():
            here = numbers == number
            source[here], row[here] = self._locate(number, index[here])
        return source, row

    def _locate(self, number: int, index: I64) -> tuple[I64, I64]:
        segment = self.segments[number]
        injected = self.positions[slice(*segment.injected)]
        source, row = np.empty((2, len(index)), np.int64)
        given = (segment.start, *segment.order, segment.slots, self._bases[number])
        _deal(index, *given, injected, self.injected, source, row)
        return source, row

    def _sources(self, raw: Mapping[str, Any]) -> list[Source]:
        sources, row, piece = [], 0, 0
        for given in raw["sources"]:
            rows, pieces = given["rows"], given["pieces"]
            sources.append(Source(given["name"], given["ref"], rows, pieces, row, piece))
            row, piece = row + rows, piece + pieces
        return sources

    def _segments(self, raw: Mapping[str, Any]) -> list[Segment]:
        segments, start = [], 0
        for number, given in enumerate(raw["segments"]):
            stop = start + given["rows"]
            first, last = np.searchsorted(self.positions, [start, stop]).tolist()
            dealt = list(given["counts"])
            if self.injected >= 0:
                dealt[self.injected] -= last - first
            shape = (given["rows"], given["seq"], given["batch"])
            shares = tuple(given["block"]), tuple(given["counts"]), tuple(dealt)
            segments.append(Segment(number, start, *shape, *shares, (first, last)))
            start = stop
        return segments

    def _check(self) -> None:
        """What makes positions meaningless if it does not hold."""
        if not self.segments or not self.sources:
            raise StoreError(f"{self.ref}: the plan has no segment or no source")
        for number, source in enumerate(self.sources):
            counted = sum(segment.counts[number] for segment in self.segments)
            if counted != source.rows:
                raise StoreError(
                    f"{self.ref}: source {source.name!r} has {source.rows:,} rows, its segments "
                    f"count {counted:,}; build the mixture again"
                )
        for segment in self.segments:
            if sum(segment.counts) != segment.rows or min(segment.seq, segment.batch) < 1:
                raise StoreError(
                    f"{self.ref}: segment {segment.number} has {segment.rows:,} rows, its sources "
                    f"{sum(segment.counts):,}, of {segment.seq} tokens, {segment.batch} a step"
                )
        rises = (np.diff(self.positions) > 0).all()
        inside = not len(self.positions) or (
            self.positions[0] >= 0 and self.positions[-1] < self.segments[-1].stop
        )
        if not rises or not inside or (len(self.positions) and self.injected < 0):
            raise StoreError(f"{self.ref}: injected positions must rise, inside the plan's rows")
        if self.attention not in ("document", "row"):
            raise StoreError(f"{self.ref}: attention {self.attention!r} is not document or row")


@njit(cache=True, nogil=True, boundscheck=False)
def _deal(index, start, order, ranks, slots, bases, injected, number, source, row):  # type: ignore[no-untyped-def]
    """Source and packed row of positions of one segment; `injected` are rows of source `number`."""
    for i in range(len(index)):
        before = np.searchsorted(injected, index[i])
        if before < len(injected) and injected[before] == index[i]:
            source[i], taken = number, before
        else:
            place = index[i] - start - before
            slot = place % len(order)
            source[i] = order[slot]
            taken = place // len(order) * slots[order[slot]] + ranks[slot]
        row[i] = bases[source[i]] + taken


def read_spec(text: str, ref: str) -> Spec:
    """A plan's description from its JSON; `ref` is named in errors."""
    return Spec(json.loads(text), ref)
