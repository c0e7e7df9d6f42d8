"""Run one parser over one completion: the item's fields, or how it failed."""

from __future__ import annotations

from typing import Any

from synth.items import Item, Row
from synth.ops import parse_op


def parsed(entry: Any, completion: str, **fields: Any) -> dict[str, Any] | tuple[str, str]:
    """`parsed({"tag": "answer"}, "…")`: fields after it, or (reason, detail)."""
    row = Row("row", 0, {}, seed=1)
    items = parse_op({"parse": entry}).plain([Item({"response": completion, **fields})], row)
    if items:
        assert not row.lost
        return items[0].fields
    ((lost,),) = (row.lost,)
    assert lost.failed and lost.stage.startswith("parse")
    return lost.reason, lost.detail
