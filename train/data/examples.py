"""Prepared rows as micro-batches, packed: item i is a pure function of (rows, seed, i).

In: train.data.prepared. Out: train.trainer.Batches of tensors, in rows. Shown by: any `use: train`
with `data: {rows: …}`. Limit: a step's rows are cut into micro-batches by their number, not by
their tokens.

An item has, of n rows with k sequences each, packed into b rows of t places:

    input_ids, position_ids  int64[b, t]
    labels or targets   int64[b, t]; -100: not learnt. `labels` where the loss is a mean over the
                        step's tokens, which the trainer counts; `targets` where it is one over rows
    sequence            int64[b, t]: the sequence of each place; n * k behind a row's last one
    last                int64[n * k]: the place of each one's last token among b * t; -1: empty
    weight              float32[n]: sums over a step to per_step, so a mean of micro-batches is one
                        of rows
    row                 int64[n]: numbers of prepared rows
    formatting          bool[b, t], with `targets`: special tokens
    column.NAME         float32[n]: numbers beside the rows; other columns as a stage gives them
    top_ids, top_logprobs    [b, t, m], of a teacher's rows
    other.NAME          the same of sequences that measure and are not learnt (KTO), packed apart
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gristmill.rng import derive_seed, permutation
from train.data.packing import Layout, layout
from train.data.prepared import Prepared
from train.data.shapes import OTHER
from train.losses.cross_entropy import IGNORED
from train.spec import Rows
from train.trainer import Batch

I64 = npt.NDArray[np.int64]


class Examples:
    """The micro-batches."""

    unit = "rows"

    def __init__(
        self, prepared: Prepared, spec: Rows, seed: int, per_step: int, by_token: bool
    ) -> None:
        self.prepared, self.spec, self.seed = prepared, spec, seed
        self.per_step, self.by_token = per_step, by_token
        self.steps = prepared.steps(spec)
        self.columns: dict[str, npt.NDArray[Any]] = {}  # float[rows, …]: what a stage adds to rows

    def __len__(self) -> int:
        return self.steps * self.per_step

    def __getitem__(self, number: int) -> Batch:
        if not 0 <= number < len(self):
            raise IndexError(f"item {number} of {len(self):,}")
        first, end, size = self.span(number)
        rows = self.rows(first, max(end, first + 1))
        weight = np.full(len(rows), self.per_step / size if end > first else 0.0, np.float32)
        return self.batch(rows, weight)

    def span(self, number: int) -> tuple[int, int, int]:
        """Positions of an item's rows in the stage's order, and how many rows its step has."""
        step, part = divmod(number, self.per_step)
        size = self.before(step + 1) - self.before(step)
        first = self.before(step) + part * size // self.per_step
        return first, self.before(step) + (part + 1) * size // self.per_step, size

    def rows(self, first: int, end: int) -> I64:
        """Rows at positions of the stage's order; every epoch has an order of its own."""
        size = len(self.prepared)
        positions = np.arange(first, end)
        epochs, found = positions // size, positions % size
        if self.spec.order == "shuffle":
            for epoch in np.unique(epochs).tolist():
                here = epochs == epoch
                key = derive_seed(self.seed, "rows", epoch)
                found[here] = permutation(key, size, found[here])
        return found

    def before(self, step: int) -> int:
        """Rows that steps before `step` have taken."""
        return min(step * self.spec.batch, self.prepared.total(self.spec))

    def named(self, step: int) -> list[str]:
        """The rows of a step, by their ids."""
        ids = self.prepared.table["id"]
        rows = self.rows(self.before(step), self.before(step + 1))
        return [f"row {row}: {ids[row]}" for row in rows.tolist()]

    def batch(self, rows: I64, weight: npt.NDArray[np.float32]) -> Batch:
        """These rows, packed. A row whose weight is 0 fills an empty micro-batch: nothing is learnt
        of it."""
        prepared = self.prepared
        names = prepared.meta.parts
        found = self._packed(rows, [n for n, name in enumerate(names) if name != OTHER], weight)
        if OTHER in names:
            apart = self._packed(rows, [names.index(OTHER)], weight)
            found |= {f"{OTHER}.{name}": array for name, array in apart.items()}
        found["row"], found["weight"] = rows, weight
        for name in prepared.meta.numbers:
            found[f"column.{name}"] = prepared.column(name)[rows].astype(np.float32)
        found |= {name: column[rows] for name, column in self.columns.items()}
        return {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in found.items()}

    def _packed(
        self, rows: I64, parts: list[int], weight: npt.NDArray[np.float32]
    ) -> dict[str, npt.NDArray[Any]]:
        """These sequences of the rows."""
        prepared = self.prepared
        numbers = (rows[:, None] * len(prepared.meta.parts) + np.array(parts)).ravel()
        starts, ends = prepared.starts[numbers], prepared.starts[numbers + 1]
        at = layout(ends - starts)
        found = _pack(prepared, starts, ends, at)
        if not weight.any():
            found["labels"].fill(IGNORED)
        if not self.by_token:
            found["targets"] = found.pop("labels")
            found["formatting"] = np.isin(found["input_ids"], prepared.meta.special)
        size = ends - starts
        found["last"] = np.where(size > 0, at.row * at.width + at.column + size - 1, -1)
        return found


def _pack(prepared: Prepared, starts: I64, ends: I64, at: Layout) -> dict[str, Any]:
    """Arrays [rows, width] of sequences; what is behind the last of a row counts from 0 again."""
    shape = (at.rows, at.width)
    ids = np.zeros(shape, np.int64)
    labels = np.full(shape, IGNORED, np.int64)
    positions = np.zeros(shape, np.int64)
    sequence = np.full(shape, len(starts), np.int64)
    filled = np.zeros(at.rows, np.int64)
    top = {
        name: np.zeros((*shape, values.shape[1]), values.dtype)
        for name, values in prepared.top.items()
    }
    places = zip(starts.tolist(), ends.tolist(), at.row.tolist(), at.column.tolist(), strict=True)
    for number, (start, end, row, column) in enumerate(places):
        here = (row, slice(column, column + end - start))
        ids[here] = prepared.ids[start:end]
        labels[here] = np.where(prepared.learnt[start:end], ids[here], IGNORED)
        labels[row, column : column + 1] = IGNORED  # what stands before it is another sequence
        positions[here] = np.arange(end - start)
        sequence[here] = number
        filled[row] = max(filled[row], column + end - start)
        for name, values in prepared.top.items():
            top[name][here] = values[start:end]
    for row, column in enumerate(filled.tolist()):
        positions[row, column:] = np.arange(at.width - column)
    packed = {"input_ids": ids, "labels": labels, "position_ids": positions, "sequence": sequence}
    return {**packed, **top}
