"""Score length: how many words, characters, sentences, paragraphs, lines or bullets a field has.

In: items with a text. Out: `length`, a whole number.
Shown by: `gristmill run pipelines/recipes/synth/diverse_qa.yaml`.
Limit: no tokens: completions' token counts are in `made`; see synth.verify.counts for what counts.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from synth.items import Item, Row
from synth.ops import SynthOp, register_op
from synth.score.given import texts
from synth.verify.counts import UNITS


@register_op("score.length")
class ScoreLength(SynthOp):
    """`score: {length: {of: response, unit: words, into: length}}`."""

    of: str = "response"
    unit: Literal["words", "characters", "sentences", "paragraphs", "lines", "bullets"] = "words"
    into: str = "length"

    def fields(self) -> dict[str, pa.DataType]:
        return {self.into: pa.int64()}

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        kept = []
        for item in items:
            given = texts(item, (self.of,), row, self.NAME)
            if given is None:
                continue
            item.fields[self.into] = UNITS[self.unit](given[0])
            kept.append(item)
        return kept
