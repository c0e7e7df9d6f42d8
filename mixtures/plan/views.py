"""Ways to cut a plan: by rank, by micro-batch, and read ahead where rows are asked for in order.

In: a plan. Out: map-style datasets over its positions. Shown by: `plan.rank(0, 8)[3]`.
Limit: a segment's rows beyond its last whole optimiser step are in no micro-batch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from gristmill.errors import StoreError

if TYPE_CHECKING:
    from mixtures.plan import Plan

AHEAD_TOKENS = 1 << 16  # read at once in sequence: 1.5 MB of arrays, which malloc uses again
Item = dict[str, Any]
ARRAYS = ("input_ids", "labels", "position_ids")


class Rows(list[Item]):
    """Rows, views of one batch: a collator that knows takes the batch as it is."""

    def __init__(self, batch: Item) -> None:
        numbers = zip(batch["source"].tolist(), batch["row"].tolist(), strict=True)
        super().__init__(
            {**{name: batch[name][n] for name in ARRAYS}, "source": source, "row": row}
            for n, (source, row) in enumerate(numbers)
        )
        self.batch = batch


class Ahead:
    """Every `step`-th row of a plan, read in blocks that grow while the access is in sequence.

    What is given is a view of a block, and no row is given twice from one block, so that whoever
    got it may change it.
    """

    def __init__(self, plan: Plan, step: int = 1) -> None:
        self._plan, self._step = plan, step
        self._block: tuple[int, Item] | None = None  # replaced as one: threads may share a plan
        self._next, self._size = -1, 1

    def take(self, position: int, count: int = 1) -> Item:
        """`count` rows from a position on, all of one segment, as a batch."""
        begin, block = self._block or (0, {"row": ()})
        place, rest = divmod(position - begin, self._step)
        if rest or position < self._next or place + count > len(block["row"]):
            begin, block = self._block = position, self._read(position, count)
            place = 0
        self._next = position + count * self._step
        return {name: array[place : place + count] for name, array in block.items()}

    def _read(self, position: int, count: int) -> Item:
        segment = self._plan.segment_of(position)
        self._size = self._size * 4 if position == self._next else count
        size = max(count, min(self._size, AHEAD_TOKENS // segment.seq))
        stop = min(segment.stop, position + size * self._step)
        return self._plan.rows(np.arange(position, stop, self._step))


def single(batch: Item) -> Item:
    """The only row of a batch."""
    row = {name: batch[name][0] for name in ARRAYS}
    return {**row, "source": int(batch["source"][0]), "row": int(batch["row"][0])}


class Rank:
    """One rank's rows: item j is the plan's row `start + rank + j * world`."""

    def __init__(self, plan: Plan, rank: int, world: int, start: int = 0) -> None:
        if not 0 <= rank < world:
            raise StoreError(f"rank {rank} of {world}: ranks are numbered from 0 to {world - 1}")
        if not 0 <= start <= len(plan):
            raise StoreError(f"start {start}: the plan has rows 0 to {len(plan)}")
        self.plan, self.first, self.world, self._given = plan, start + rank, world, (rank, start)
        self._ahead = Ahead(plan, world)

    def __reduce__(self) -> tuple[Any, ...]:
        rank, start = self._given
        return Rank, (self.plan, rank, self.world, start)

    def __len__(self) -> int:
        return max(0, -(-(len(self.plan) - self.first) // self.world))

    def __getitem__(self, number: SupportsIndex) -> Item:
        return single(self._ahead.take(self.first + _inside(number, len(self)) * self.world))

    def __getitems__(self, numbers: Sequence[int]) -> list[Item]:
        return self.plan.__getitems__([self.first + n * self.world for n in numbers])


class MicroBatches:
    """The plan as batches [b, seq]: step by step, each optimiser step in `per_step` equal parts.

    Part p of a step has its rows p * b up to (p + 1) * b, b = segment.batch / per_step; so ramps of
    batch and length are data, and per_step is accumulation times ranks. Take items in order; a
    sampler that deals item j to rank j % ranks gives every rank whole parts.
    """

    def __init__(self, plan: Plan, per_step: int) -> None:
        for segment in plan.segments:
            if per_step < 1 or segment.batch % per_step:
                raise StoreError(
                    f"{per_step} micro-batches a step: segment {segment.number} has "
                    f"{segment.batch} rows a step; choose a divisor of them"
                )
        self.plan, self.per_step, self._ahead = plan, per_step, Ahead(plan)
        self._steps = [0, *accumulate(segment.steps for segment in plan.segments)]

    def __reduce__(self) -> tuple[Any, ...]:
        return MicroBatches, (self.plan, self.per_step)

    def __len__(self) -> int:
        return self.steps * self.per_step

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return self._steps[-1]

    @property
    def left_out(self) -> int:
        """Rows beyond the last whole step of their segment, whatever `per_step` is."""
        return sum(segment.rows % segment.batch for segment in self.plan.segments)

    def position(self, number: int) -> int:
        """The plan's position at which item `number` begins (for `plan.state`)."""
        if number == len(self):
            return len(self.plan)
        return self._span(_inside(number, len(self)))[0]

    def _span(self, number: int) -> tuple[int, int]:
        """First position and rows of an item."""
        step, part = divmod(number, self.per_step)
        of = bisect_right(self._steps, step) - 1
        segment = self.plan.segments[of]
        size = segment.batch // self.per_step
        return segment.start + (step - self._steps[of]) * segment.batch + part * size, size

    def number(self, position: int) -> int:
        """The item that begins at a position (what `plan.resume` gave)."""
        if position == len(self.plan):
            return len(self)
        segment = self.plan.segment_of(position)
        step, rest = divmod(position - segment.start, segment.batch)
        size = segment.batch // self.per_step
        if rest % size:
            raise StoreError(
                f"position {position} lies inside a micro-batch of {size} rows; go on at an "
                f"optimiser step, for instance {position - rest}"
            )
        return (self._steps[segment.number] + step) * self.per_step + rest // size

    def __getitem__(self, number: SupportsIndex) -> Item:
        begin, size = self._span(_inside(number, len(self)))
        return self._ahead.take(begin, size)


def _inside(number: SupportsIndex, length: int) -> int:
    """An item's number, or IndexError, which also ends iteration."""
    index = number.__index__()
    if not 0 <= index < length:
        raise IndexError(f"item {index} of {length:,}")
    return index
