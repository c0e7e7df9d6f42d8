"""Parse text: a completion cleaned of lead-ins and thoughts, or a typed failure.

In: an item with a completion. Out: the item with its text cleaned.
Shown by: `gristmill run pipelines/recipes/synth/wrap.yaml`.
Limit: refusals and lead-ins are known by English phrases.
"""

from __future__ import annotations

import pyarrow as pa
from pydantic import Field

from synth.items import Item, Row
from synth.ops import SynthOp, register_op
from synth.parse.cleaning import cleaned


@register_op("parse.text")
class ParseText(SynthOp):
    """Strip thoughts and lead-ins; refusals and empty texts fail."""

    of: str = "response"
    into: str | None = None  # default: the same field
    min_words: int = Field(1, ge=0)
    lead_ins: bool = True  # cut "Here is the rewritten text:" and the like
    refusals: bool = True  # short texts that decline fail as `refused`

    def fields(self) -> dict[str, pa.DataType]:
        return {self.into or self.of: pa.string()}

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        kept = []
        for item in items:
            text = cleaned(item, self.of, row, lead_ins=self.lead_ins, refusals=self.refusals)
            if text is None:
                continue
            if len(text.split()) < self.min_words:
                row.fail(
                    "parse.text", "empty", f"{len(text.split())} words, {self.min_words} wanted"
                )
                continue
            item.fields[self.into or self.of] = text.strip()
            kept.append(item)
        return kept
