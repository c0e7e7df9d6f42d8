"""The plan: a mixture as rows of tokens, each a pure function of (mixture, position).

In: a version that `use: mixture` made. Out: a map-style dataset whose item i is `{input_ids,
labels, position_ids, source, row}`, and never an attention mask: documents are told apart by
positions that begin again. Shown by: `python -m mixtures.plan STORE mix/pretrain 0`.
Limit: what a consumed position held is known, not which positions were consumed: count them.

All state is one integer, the next position. Ranks, workers and micro-batches are ways to cut the
same sequence: rank r of w takes positions r, r + w, …; so a run may go on with others of them.
"""

from __future__ import annotations

import operator
import sys
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsIndex

import numpy as np

from gristmill.errors import StoreError
from gristmill.store import Dataset, Store
from mixtures.plan.block import I64
from mixtures.plan.gather import Gatherer
from mixtures.plan.spec import Segment, Spec, read_spec
from mixtures.plan.views import ARRAYS, Ahead, Item, MicroBatches, Rank, Rows, single

__all__ = ["ARRAYS", "Place", "Plan", "open_plan"]


class Place(NamedTuple):
    """Where a row comes from."""

    source: str
    epoch: int
    row: int  # of the rows that the mixture takes from the source
    pieces: list[tuple[str, int, int]]  # document id, offset and length in tokens


@dataclass(frozen=True, slots=True)
class _Outputs:
    """What a mixture's step wrote together. The version of the rows is the mixture's."""

    packed: Dataset
    pieces: Dataset
    plan: Dataset


class Plan:
    """Rows of tokens by position. Open one with `open_plan`."""

    def __init__(self, outputs: _Outputs, spec: Spec) -> None:
        self.outputs, self.spec = outputs, spec
        self._store = outputs.packed.store
        self._gather = Gatherer(self._store, outputs.packed, outputs.pieces, spec)
        self._ahead = Ahead(self)

    def __repr__(self) -> str:
        sources = ", ".join(source.name for source in self.spec.sources)
        return f"<Plan {self.mixture}: {len(self):,} rows of {sources}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return open_plan, (str(self._store.path), self.mixture)

    def __len__(self) -> int:
        return len(self.spec)

    @property
    def mixture(self) -> str:
        """`name@version`: what states name, and every command and `open_plan` take."""
        return self.outputs.packed.ref

    @property
    def segments(self) -> list[Segment]:
        """Stretches of rows of one length, in order."""
        return self.spec.segments

    def segment_of(self, position: int) -> Segment:
        """The segment that a position lies in."""
        if not 0 <= position < len(self):
            raise IndexError(f"row {position} of a plan of {len(self):,} rows")
        return self.segments[bisect_right(self.spec.ends, position)]

    def __getitem__(self, position: SupportsIndex) -> Item:
        """One row: int64[seq] arrays, its source's number, its position. Fast in sequence."""
        index = operator.index(position)
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of a plan of {len(self):,} rows")
        return single(self._ahead.take(index))

    def __getitems__(self, positions: Sequence[int]) -> list[Item]:
        """Rows of any positions at once, as DataLoader asks for them."""
        asked = self.spec.inside(positions)
        if self.spec.segment_at(asked) >= 0:
            if (asked[1:] - asked[:-1] == 1).all():
                return Rows(self._ahead.take(int(asked[0]), len(asked)))
            return Rows(self.rows(asked))
        lengths = np.array([segment.seq for segment in self.segments])[self.spec.segments_at(asked)]
        items: list[Item] = [{}] * len(asked)
        for length in np.unique(lengths).tolist():
            here = np.flatnonzero(lengths == length)
            for place, item in zip(here.tolist(), Rows(self.rows(asked[here])), strict=True):
                items[place] = item
        return items

    def rows(self, positions: Sequence[int] | I64) -> Item:
        """Rows of one length as a batch: int64[n, seq] arrays; `source` and `row` are int64[n]."""
        asked = self.spec.inside(positions)
        number = self.spec.segment_at(asked)
        several = [number] if number >= 0 else np.unique(self.spec.segments_at(asked)).tolist()
        lengths = {self.segments[n].seq for n in several}
        if len(lengths) != 1:
            raise IndexError(
                f"{len(asked)} positions of rows of {sorted(lengths)} tokens: a batch has one "
                "length; ask for each segment's rows apart"
            )
        source, row = self.spec.locate(asked)
        arrays = self._gather.fill(self._gather.pieces(row, source), lengths.pop())
        return {**dict(zip(ARRAYS, arrays, strict=True)), "source": source, "row": asked}

    def spans(self, positions: Sequence[int] | I64) -> tuple[I64, I64]:
        """Pieces a row int64[n], and the length of each piece int64[m], without their tokens."""
        source, row = self.spec.locate(self.spec.inside(positions))
        pieces = self._gather.pieces(row, source)
        return np.diff(pieces.first), pieces.length

    def where(self, position: int) -> Place:
        """Provenance of a row: source, epoch, row of the source, and its pieces of documents."""
        source, row = self.spec.locate(self.spec.inside([position]))
        number, pieces = int(source[0]), self._gather.pieces(row, source)
        of = self.spec.sources[number]
        spans = zip(
            pieces.document.tolist(), pieces.offset.tolist(), pieces.length.tolist(), strict=True
        )
        return Place(
            of.name,
            int(self._gather.rows(row, source)[2][0]),
            int(row[0]) - of.first_row,
            [(self._gather.document_id(number, d), offset, size) for d, offset, size in spans],
        )

    def state(self, position: int) -> dict[str, Any]:
        """What a checkpoint keeps: rows before `position` are consumed."""
        return {"mixture": self.mixture, "tokenizer": self.spec.tokenizer, "row": int(position)}

    def resume(self, state: dict[str, Any]) -> int:
        """The position to go on at; StoreError where the state is another mixture's."""
        tokenizer = state.get("tokenizer", self.spec.tokenizer)
        if tokenizer != self.spec.tokenizer:
            raise StoreError(
                f"the state is of rows tokenised with {tokenizer}, the plan's with "
                f"{self.spec.tokenizer}: a model reads only the tokens that it was trained on; "
                f"open the plan of {state.get('mixture')!r}"
            )
        if state.get("mixture") != self.mixture:
            raise StoreError(
                f"the state is of mixture {state.get('mixture')!r}, the plan is {self.mixture!r}: "
                "position by position they hold other rows; open the state's mixture, or begin "
                "this one at position 0"
            )
        position = state["row"]
        if not isinstance(position, int) or not 0 <= position <= len(self):
            raise StoreError(f"the state's row is {position!r}; the plan has rows 0 to {len(self)}")
        return position

    def rank(self, rank: int, world: int, start: int = 0) -> Rank:
        """One rank's rows: a map-style view of start + rank, start + rank + world, …"""
        return Rank(self, rank, world, start)

    def micro_batches(self, per_step: int) -> MicroBatches:
        """Batches shaped as the plan says: every optimiser step in `per_step` equal parts."""
        return MicroBatches(self, per_step)


def open_plan(store: Store | str, ref: str) -> Plan:
    """The plan of `mix/pretrain` (its latest), of `mix/pretrain@version`, or of a tag."""
    place = store if isinstance(store, Store) else Store(store)
    outputs = _outputs(place, ref)
    text = next(outputs.plan.scan(["spec"]))["spec"][0].as_py()
    return Plan(outputs, read_spec(text, outputs.plan.ref))


def _outputs(store: Store, ref: str) -> _Outputs:
    """A mixture's outputs by a version of its rows, or a tag."""
    dataset = store[ref]
    made = dataset.build()["outputs"]
    names = [dataset.name, f"{dataset.name}.pieces", f"{dataset.name}.plan"]
    if not set(names) <= set(made):
        raise StoreError(
            f"{dataset.ref} is not a mixture: it has no output '.plan'; "
            "name the main output of a step with `use: mixture`"
        )
    return _Outputs(*(Dataset(store, name, made[name]) for name in names))


def main() -> None:
    """Print where a row of a plan comes from."""
    plan = open_plan(sys.argv[1], sys.argv[2])
    position = int(sys.argv[3])
    print(f"{plan}\nrow {position}, segment {plan.segment_of(position).number}: ", end="")
    print(plan.where(position))


if __name__ == "__main__":
    main()
