"""Sequences into the rows of one forward pass: first fit, the longest first.

In: lengths. Out: how long the rows are, and where each sequence begins. Shown by: `python -m pytest
tests/train/data/test_packing.py`. Limit: rows are at most twice the longest sequence.

Sequences share rows, and positions that begin again keep them apart, so few places are padding.
Rows much longer than the longest sequence would cost more in attention than they save, as attention
over a mask is quadratic in the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
WIDTHS = (1.0, 1.125, 1.25, 1.5, 2.0)  # of a row, in longest sequences


@dataclass(frozen=True, slots=True)
class Layout:
    """Rows [rows, width]; sequence n fills its row from its column on."""

    rows: int
    width: int
    row: I64
    column: I64


def layout(lengths: Sequence[int] | I64) -> Layout:
    """The layout with the fewest places, of rows as long as the longest sequence or some more."""
    sizes = np.asarray(lengths, np.int64)
    longest = max(1, int(sizes.max(initial=0)))
    widths = dict.fromkeys(int(longest * part) for part in WIDTHS)
    return min((_fit(sizes, width) for width in widths), key=lambda at: at.rows * at.width)


def _fit(sizes: I64, width: int) -> Layout:
    """First fit, the longest first; sequences of one length keep their order."""
    row, column = np.zeros(len(sizes), np.int64), np.zeros(len(sizes), np.int64)
    filled: list[int] = []
    for number in np.argsort(-sizes, kind="stable").tolist():
        size = int(sizes[number])
        place = next((n for n, used in enumerate(filled) if used + size <= width), len(filled))
        if place == len(filled):
            filled.append(0)
        row[number], column[number] = place, filled[place]
        filled[place] += size
    return Layout(max(1, len(filled)), max(filled, default=1), row, column)
