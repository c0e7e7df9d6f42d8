"""What scorers read from an item: a field as text.

In: an item and a field's name. Out: its text, or None where there is none.
Shown by: `python -m pytest tests/synth/score`. Limit: lists and mappings are read as JSON.
"""

from __future__ import annotations

import json
from typing import Any

from synth.items import Item, Row


def as_text(value: Any) -> str | None:
    """A text as it is, a number as Python writes it, anything else as JSON; None is None."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return str(value)


def texts(item: Item, names: tuple[str, ...], row: Row, stage: str) -> list[str] | None:
    """The texts of fields; None, and a failure of the item, where one is missing."""
    found = []
    for name in names:
        text = as_text(item.fields.get(name))
        if text is None:
            row.fail(stage, "missing", f"there is no field {name!r}")
            return None
        found.append(text)
    return found
