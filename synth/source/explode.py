"""Explode: a list in one item into an item for each of its entries.

In: an item with a list, as `parse: {list: …}` or `parse: {pairs: …}` find. Out: an item an entry.
Shown by: `gristmill run pipelines/recipes/synth/knowledge_list.yaml`.
Limit: entries keep their order; there is no nesting, explode twice.
"""

from __future__ import annotations

import pyarrow as pa
from pydantic import Field

from synth.items import Item, Row
from synth.ops import SynthOp, register_op


@register_op("explode")
class Explode(SynthOp):
    """One item an entry of the list `of`; entries that are mappings become fields."""

    of: str
    into: str = "entry"  # the field for entries that are no mappings
    max: int | None = Field(None, ge=1)  # at most this many entries, the first ones

    def fields(self) -> dict[str, pa.DataType]:
        return {self.into: pa.string()}

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        found = []
        for item in items:
            entries = item.fields.get(self.of)
            if not isinstance(entries, list | tuple):
                row.fail("explode", "missing", f"{self.of!r} is no list")
                continue
            for number, entry in enumerate(entries[: self.max]):
                values = dict(entry) if isinstance(entry, dict) else {self.into: entry}
                found.append(item.child(number, **values))
        return found
