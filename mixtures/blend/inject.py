"""Injections: documents put at chosen positions of a mixture, outside its weights.

In: a token dataset, positions in tokens. Out: whole rows of it and the global positions that they
take. Shown by: `inject: [{from: tokens/facts, every: 100M, times: 4}]` of a mixture.
Limit: one dataset a mixture (`where` picks parts of it); it is small beside the rest, its document
lengths are held in memory.

So one run can carry many small experiments (Train Once, Answer All, arXiv 2509.23383): facts to
be memorised, contamination on purpose, canaries. Each position takes the chosen documents once, in
the dataset's order: as many rows as they need, packed as `greedy` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator

from gristmill.errors import RecipeError
from mixtures.blend.schedule import Position, Span, amount, position
from mixtures.packing.in_order import greedy
from mixtures.packing.layout import Layout

NAME = "injected"  # of their source in the plan
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]


class InjectSpec(BaseModel):
    """Documents, and where they go."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    from_: str = Field(alias="from")
    where: str | None = None  # an SQL condition over the dataset's columns
    at: tuple[Position, ...] = ()  # tokens, or parts of the budget
    every: Position | None = None  # tokens, or a part of the budget: at 1 x, 2 x, … of it
    times: int | None = None  # how often, with `every`; to the end without

    @field_validator("at", mode="before")
    @classmethod
    def _one_position(cls, value: Any) -> Any:
        return value if isinstance(value, list | tuple) else (value,)


@dataclass(frozen=True, slots=True)
class Insertion:
    """All documents of one entry at one place: rows first_row .. first_row + rows of the plan."""

    entry: int
    repetition: int  # of the entry, from 0
    first_row: int
    rows: int
    seq: int  # what they are packed for


@dataclass(frozen=True, slots=True)
class Packing:
    """Rows of documents: row r has pieces first[r] .. first[r + 1]."""

    first: I64
    document: I64  # number within the entry's documents
    offset: I32
    length: I32


def insertion_points(specs: Sequence[InjectSpec], budget: int) -> list[tuple[int, int, int]]:
    """(position in tokens, entry, repetition) of all entries, in the order of positions."""
    found = []
    for n, spec in enumerate(specs):
        if bool(spec.at) == (spec.every is not None):
            raise RecipeError(f"inject.{n}: give either `at` (positions) or `every` (a distance)")
        if spec.every is None:
            if spec.times is not None:
                raise RecipeError(f"inject.{n}: `times` goes with `every`; `at` lists positions")
            places = [position(at, budget, f"inject.{n}.at") for at in spec.at]
        else:
            places = _regular(spec, budget, n)
        found += [(place, n, turn) for turn, place in enumerate(sorted(places))]
    return sorted(found)


def _regular(spec: InjectSpec, budget: int, n: int) -> list[int]:
    every = amount(spec.every or 0, f"inject.{n}.every")
    step = round(every * budget) if every < 1 else round(every)
    if step < 1 or (spec.times is not None and spec.times < 1):
        raise RecipeError(
            f"inject.{n}: every {spec.every!r}, times {spec.times!r}: both must be above 0"
        )
    most = (budget - 1) // step
    if not most or (spec.times or 1) > most:
        raise RecipeError(
            f"inject.{n}: every {step:,} tokens fits {most} times into a budget of {budget:,}, "
            f"asked for {spec.times or 1}; shorten `every`"
        )
    return [step * turn for turn in range(1, (spec.times or most) + 1)]


def place(
    points: Sequence[tuple[int, int, int]], lengths: Sequence[I32], spans: Sequence[Span]
) -> list[Insertion]:
    """Rows of every insertion; one that would overlap the one before stands right behind it.

    lengths: tokens of each entry's documents. Raises RecipeError where rows do not fit.
    """
    ends = np.cumsum([span.rows for span in spans])
    token_ends = np.cumsum([span.tokens for span in spans])
    total, free, found = int(ends[-1]), 0, []
    for tokens, entry, repetition in points:
        n = min(int(np.searchsorted(token_ends, tokens, "right")), len(spans) - 1)
        before = int(token_ends[n]) - spans[n].tokens
        row = int(ends[n]) - spans[n].rows + (tokens - before) // spans[n].seq
        row = max(min(row, total), free)
        seq = spans[min(int(np.searchsorted(ends, row, "right")), len(spans) - 1)].seq
        while True:  # a row must fit the shortest of the segments that it may fall into
            rows = rows_needed(lengths[entry], seq)
            first, last = np.searchsorted(ends, [row, row + rows - 1], "right").tolist()
            if last >= len(spans):
                raise RecipeError(
                    f"inject.{entry} at token {tokens:,}: its {rows:,} rows do not fit before the "
                    f"end at row {total:,}; inject earlier, or fewer documents"
                )
            shortest = min(span.seq for span in spans[first : last + 1])
            if shortest >= seq:
                break
            seq = shortest
        found.append(Insertion(entry, repetition, row, rows, seq))
        free = row + rows
    return found


def positions_of(insertions: Sequence[Insertion]) -> I64:
    """All rows that insertions take, sorted."""
    parts = [np.arange(i.first_row, i.first_row + i.rows) for i in insertions]
    return np.concatenate([np.empty(0, np.int64), *parts])


def rows_in_spans(positions: I64, spans: Sequence[Span]) -> list[int]:
    """How many of the positions lie in each span."""
    ends = np.cumsum([0, *(span.rows for span in spans)])
    cuts = np.searchsorted(positions, ends).tolist()
    return [end - start for start, end in pairwise(cuts)]


def rows_needed(lengths: I32, seq: int) -> int:
    """Rows that all documents take."""
    return len(_laid_out(lengths, seq).starts) - 1


def pack(lengths: I32, seq: int) -> Packing:
    """Documents into rows, in order; one longer than a row is split over several."""
    layout = _laid_out(lengths, seq)
    item, length = layout.item.astype(np.int64), layout.length.astype(np.int64)
    before = np.cumsum(length) - length
    opens = np.ones(len(item), bool)
    opens[1:] = item[1:] != item[:-1]
    offset = before - before[opens][np.cumsum(opens) - 1] if len(item) else before
    return Packing(layout.starts, item, offset.astype(np.int32), layout.length)


def _laid_out(lengths: I32, seq: int) -> Layout:
    return greedy(lengths.astype(np.int64), seq, last=True)
