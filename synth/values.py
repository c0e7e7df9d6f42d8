"""Values of items: what scorers and selectors read, or a typed failure.

In: an item and the name of a field. Out: a text or a number, or None after `missing` was noted.
Shown by: `python -m pytest tests/synth/select`.
Limit: a field is one name, not a path into a value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pyarrow as pa

from synth.items import Item, Row


def text_of(item: Item, name: str, row: Row, stage: str) -> str | None:
    """The text in a field; a null or anything else fails."""
    value = item.fields.get(name)
    if isinstance(value, str):
        return value
    row.fail(stage, "missing", f"field {name!r} is {value!r:.60}; a text is needed")
    return None


def number_of(item: Item, name: str, row: Row, stage: str) -> float | None:
    """The number in a field, true as 1 and false as 0; a null, NaN or anything else fails."""
    value = item.fields.get(name)
    if isinstance(value, bool | int | float) and not math.isnan(value):
        return float(value)
    row.fail(stage, "missing", f"field {name!r} is {value!r:.60}; a number is needed")
    return None


def text_array(texts: Sequence[str]) -> pa.Array:
    """Texts as kernels take them; half characters, which JSON can hold and UTF-8 cannot, as "?"."""
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        whole = [text.encode("utf-8", "replace").decode() for text in texts]
        return pa.array(whole, pa.string())
