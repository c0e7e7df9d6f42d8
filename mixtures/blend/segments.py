"""Segments: the spans of a schedule with the rows that each source gives to them.

In: spans, weights of each stage, rows that are injected. Out: slots of each source in a block, and
rows of each source, by segment. Shown by: `gristmill sql 'select spec from "mix/pretrain.plan"'`.
Limit: a segment of more than SLOTS rows has shares in multiples of 1 / SLOTS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mixtures.blend.schedule import Span
from mixtures.plan.block import SLOTS, arrange, quantise, rows_of

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Segment:
    """A span with its weights: slots of each source in a block, and rows of each source."""

    span: Span
    weights: tuple[float, ...]  # requested, before they became whole slots
    block: tuple[int, ...]
    counts: tuple[int, ...]  # those of the injected source among them


def span_weights(span: Span, stages: Sequence[npt.NDArray[np.float64]]) -> tuple[float, ...]:
    """The requested weights of a span: its stage's, or on their way there."""
    weights = stages[span.stage]
    if span.ramp < 1:
        weights = span.ramp * weights + (1 - span.ramp) * stages[span.stage - 1]
    return tuple(weights.tolist())


def segments(
    found: Sequence[Span], stages: Sequence[npt.NDArray[np.float64]], injected: Sequence[int] = ()
) -> list[Segment]:
    """Blocks and rows of each span; `injected`: rows of each span that stand outside the blocks.

    What a short span's whole rows could not give a source, the next spans make up for. A source
    with a weight gets at least one row in the end, where there are as many rows as such sources.
    """
    made, owed = [], np.zeros(len(stages[0]))
    taken = np.zeros(len(stages[0]), np.int64)
    for n, span in enumerate(found):
        weights = np.array(span_weights(span, stages))
        rows = span.rows - (injected[n] if injected else 0)
        due = weights * rows
        if rows > SLOTS:
            block = quantise(weights, SLOTS)
        else:
            wanted = np.where(due > 0, np.maximum(due + owed, 0), 0)
            block = _whole_rows(wanted if wanted.any() else due, rows)
            if n == len(found) - 1:
                _none_left_out(block, (weights > 0) & (taken + block == 0))
        counts = rows_of(arrange(block), rows, len(block))
        owed += due - counts
        taken += counts
        made.append(
            Segment(span, tuple(weights.tolist()), tuple(block.tolist()), tuple(counts.tolist()))
        )
    return made


def _whole_rows(wanted: npt.NDArray[np.float64], rows: int) -> I64:
    """Whole rows nearest to what each source wants, `rows` in all: largest remainders."""
    if np.floor(wanted).sum() > rows:
        wanted = wanted * (rows / wanted.sum())
    counts = np.floor(wanted).astype(np.int64)
    order = np.lexsort((np.arange(len(wanted)), -(wanted - counts)))
    while (short := rows - int(counts.sum())) > 0:
        counts[order[wanted[order] > 0][:short]] += 1
    return counts


def _none_left_out(counts: I64, missing: npt.NDArray[np.bool_]) -> None:
    """A row for each missing source, from those that have most."""
    for source in np.flatnonzero(missing).tolist():
        richest = int(np.argmax(counts))
        if counts[richest] > 1:
            counts[richest] -= 1
            counts[source] = 1
