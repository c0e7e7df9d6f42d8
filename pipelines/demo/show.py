"""How the demo prints the drop funnel: the largest reasons of each step, the rest in one line.

In: rows of `gristmill.lineage.funnel`. Out: a rich table.
Shown by: `make demo`. Limit: reasons are shown without their thresholds; `gristmill why` has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table


def funnel_table(rows: Sequence[dict[str, Any]], top: int = 6) -> Table:
    """The funnel, the `top` reasons of each step and the rest in one line."""
    shown = Table(title="Drop funnel", title_justify="left")
    shown.add_column("step")
    shown.add_column("what")
    shown.add_column("rows", justify="right")
    shown.add_column("of its input", justify="right")
    steps = list(dict.fromkeys(row["step"] for row in rows))
    for step in steps:
        own = [row for row in rows if row["step"] == step]
        between = [row for row in own if row["state"] not in ("in", "kept")]
        for row in own:
            if row["state"] == "kept" and len(between) > top:
                rest = sum(r["rows"] for r in between[top:])
                whole = own[0]["rows"]
                what = f"  {len(between) - top} more reasons"
                shown.add_row("", what, f"{rest:,}", f"{rest / whole:.1%}" if whole else "")
            if row in between[top:]:
                continue
            share = "" if row["share"] is None else f"{row['share']:.1%}"
            name = {"in": "in", "kept": "kept"}.get(row["state"], f"  {row['reason']}")
            style = "bold" if row["state"] in ("in", "kept") else ""
            first = step.partition("@")[0] if row is own[0] else ""
            shown.add_row(first, name, f"{row['rows']:,}", share, style=style)
        shown.add_section()
    return shown
