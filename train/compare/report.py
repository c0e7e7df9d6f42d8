"""The report of a comparison: rows for SQL, a table for people.

In: comparisons. Out: an Arrow table, text. Shown by: `gristmill show ablate/report`.
Limit: the text has the verdicts of one comparison at a time; `verdict_holm` has all in mind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa

from train.compare.statistics import Comparison

SCHEMA = pa.schema(
    [
        ("arm", pa.string()),
        ("task", pa.string()),
        ("metric", pa.string()),
        ("source", pa.string()),
        ("length", pa.int64()),
        ("better", pa.string()),
        ("mean", pa.float64()),
        ("sd", pa.float64()),
        ("n", pa.int64()),
        ("difference", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("pairs", pa.int64()),
        ("p", pa.float64()),
        ("p_holm", pa.float64()),
        ("items", pa.int64()),
        ("hosts", pa.int64()),
        ("items_low", pa.float64()),
        ("items_high", pa.float64()),
        ("items_p", pa.float64()),
        ("noise", pa.string()),
        ("verdict", pa.string()),
        ("verdict_holm", pa.string()),
    ]
)
_HEAD = ("arm", "mean", "sd", "n", "difference", "over seeds", "over items", "verdict",
         "with all in mind")  # fmt: skip


def table(found: Sequence[Comparison]) -> pa.Table:
    """A row an arm and metric."""
    rows = []
    for one in found:
        row = asdict(one)
        rows.append({**row, **row.pop("what")})
    return pa.Table.from_pylist(rows, SCHEMA)


def text(found: Sequence[Comparison]) -> str:
    """Aligned columns, a block a metric."""
    blocks = []
    for what in dict.fromkeys(one.what for one in found):
        lines = [_HEAD, *(_cells(one) for one in found if one.what == what)]
        widths = [max(len(line[n]) for line in lines) for n in range(len(_HEAD))]
        length = "" if what.length is None else f", {what.length:,} tokens"
        source = "" if what.source == "all" else f", {what.source}"
        hint = "" if what.better == "neither" else f" ({what.better} is better)"
        blocks.append(f"{what.task}: {what.metric}{source}{length}{hint}")
        for line in lines:
            cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
            blocks.append("  " + "  ".join(cells).rstrip())
    return "\n".join(blocks)


def _cells(one: Comparison) -> tuple[str, ...]:
    spread = "" if one.sd is None else f"{one.sd:.4f}"
    apart = "" if one.difference is None else f"{one.difference:+.4f}"
    interval = "" if one.low is None else f"{one.low:+.4f} to {one.high:+.4f}"
    return (one.arm, f"{one.mean:.4f}", spread, str(one.n), apart, interval, _items(one),
            one.verdict, one.verdict_holm)  # fmt: skip


def _items(one: Comparison) -> str:
    if one.items is None:
        return ""
    many = f"{one.items:,} items" + (f", {one.hosts:,} hosts" if one.hosts != one.items else "")
    if one.items_low is None:
        return f"few differ ({many})"
    return f"{one.items_low:+.4f} to {one.items_high:+.4f} ({many})"
