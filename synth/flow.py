"""Flows: a list of ops run over one source row, as one generator of calls.

In: a row. Out: its items at the end, after yielding every call that they needed.
Shown by: `python -m pytest tests/synth/test_flow.py`.
Limit: ops run in order for all items of a row; items of one row do not overtake each other.
"""

from __future__ import annotations

from collections.abc import Sequence

from synth.items import Item, Row
from synth.ops import Running, SynthOp


def flow(ops: Sequence[SynthOp], row: Row) -> Running:
    """Run ops over a fresh row."""
    return (yield from through(ops, [Item(dict(row.source))], row))


def through(ops: Sequence[SynthOp], items: list[Item], row: Row) -> Running:
    """Run ops over items: of a row from its start, or of a loop's body."""
    for op in ops:
        if not items:
            return items
        items = yield from op.run(items, row)
    return items
