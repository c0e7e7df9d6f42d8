"""What the log of a stage has to tell a user, in words.

In: the lines of the log. Out: notes. Shown by: `gristmill show models/NAME`.
Limit: a loss that rose and came back is told by the picture alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from train.loop.meter import BARE

PART = 10  # of the lines, at either end, that are compared


def notes_of(lines: Sequence[dict[str, Any]], kind: str) -> list[str]:
    """Of rows without labels, and of a loss that ends above its start."""
    found = []
    if bare := sum(line.get(BARE, 0) for line in lines):
        found.append(
            f"{bare:,} rows had no label that counts: their tokens were read, and nothing was "
            "learnt from them"
        )
    if kind == "rl" or len(lines) < 2 * PART:  # a policy's loss has no direction
        return found
    size = len(lines) // PART
    first = fmean(line["loss"] for line in lines[:size])
    last = fmean(line["loss"] for line in lines[-size:])
    if last > max(first, 0):
        found.append(
            f"the loss ends higher than it began: {first:.4g} over the first {size} lines of the "
            f"log, {last:.4g} over the last {size}. A lower optim.lr or a longer warm-up may help; "
            "`guard: {spike: 6}` ends such a stage early"
        )
    return found
