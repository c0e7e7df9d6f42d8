"""Select pair: a row's best and worst item become one item with `chosen` and `rejected`.

In: items with a score, or with a verdict (true or false). Out: one item, with both texts, both
scores and their `margin`. Shown by: `gristmill run pipelines/recipes/synth/rejection_maths.yaml`.
Limit: one pair a row; prompts whose items do not differ enough give none.

By a score: highest and lowest. By a verdict: the first that passed and the first that failed. The
margin is the difference of both scores, as Llama 2 (section 3.2.2) trains reward models with; pairs
below `margin`, ties and pairs of equal texts are filtered.
"""

from __future__ import annotations

import pyarrow as pa
from pydantic import Field

from synth.items import Item, Row
from synth.ops import SynthOp, register_op
from synth.values import number_of, text_of


@register_op("select.pair")
class Pair(SynthOp):
    """Best against worst, or passed against failed."""

    by: str  # a field with a score, or true and false
    of: str = "response"  # the field with the text
    margin: float = Field(0.0, ge=0)  # the least difference; a difference of 0 never makes a pair

    def fields(self) -> dict[str, pa.DataType]:
        numbers = ("chosen_score", "rejected_score", "margin")
        texts = {"chosen": pa.string(), "rejected": pa.string()}
        return texts | {name: pa.float64() for name in numbers}

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        scored: list[tuple[float, Item]] = []
        for item in items:
            value = number_of(item, self.by, row, self.NAME)
            if value is not None and text_of(item, self.of, row, self.NAME) is not None:
                scored.append((value, item))
        if not scored:
            return []
        best, chosen = min(scored, key=lambda pair: (-pair[0], pair[1].path))
        others = [pair for pair in scored if self._text(pair[1]) != self._text(chosen)]
        worst, rejected = min(others or scored, key=lambda pair: (pair[0], pair[1].path))
        gap = best - worst
        rule = ""
        if len(scored) == 1:
            rule = "pair.alone"
        elif not others:
            rule = "pair.identical"
        elif not gap > 0:
            rule = "pair.tie"
        elif gap < self.margin:
            rule = "pair.margin"
        for _, item in scored:
            if rule or (item is not chosen and item is not rejected):
                row.filter(self.NAME, rule or "pair.between", gap, self.margin)
        if rule:
            return []
        pair = chosen.child(
            chosen=chosen.fields[self.of],
            rejected=rejected.fields[self.of],
            chosen_score=best,
            rejected_score=worst,
            margin=gap,
        )
        pair.made = (*chosen.made, *(made for made in rejected.made if made not in chosen.made))
        return [pair]

    def _text(self, item: Item) -> str:
        return " ".join(item.fields[self.of].split())
