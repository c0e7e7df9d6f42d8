"""Draw: values chosen at random for each item: audience, style, topic, persona.

In: items. Out: the same items with one value of each list, drawn by the row's seed.
Shown by: `gristmill run pipelines/recipes/synth/textbook.yaml`.
Limit: draws are independent and uniform; give a value twice to make it likelier.
"""

from __future__ import annotations

import pyarrow as pa
from pydantic import ConfigDict, model_validator

from gristmill.errors import RecipeError
from synth.items import Item, Row
from synth.ops import SynthOp, any_field, register_op


@register_op("draw")
class Draw(SynthOp):
    """`draw: {audience: [children, experts]}`; `each: true` makes an item of every combination."""

    model_config = ConfigDict(json_schema_extra=any_field)
    lists: dict[str, tuple[str, ...]]
    each: bool = False  # every combination instead of one at random

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: object) -> object:
        """`draw: {audience: [a, b]}` is `draw: {lists: {audience: [a, b]}}`."""
        if isinstance(given, dict) and "lists" not in given and given:
            return {
                "lists": {k: v for k, v in given.items() if k != "each"},
                "each": given.get("each", False),
            }
        return given

    @model_validator(mode="after")
    def _filled(self) -> Draw:
        for name, values in self.lists.items():
            if not values:
                raise RecipeError(f"draw.{name} is empty; give the values to draw from")
        return self

    def fields(self) -> dict[str, pa.DataType]:
        return dict.fromkeys(self.lists, pa.string())

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        if self.each:
            return _every(items, self.lists)
        for item in items:
            for name, values in self.lists.items():
                item.fields[name] = values[row.seed_for("draw", name, *item.path) % len(values)]
        return items


def _every(items: list[Item], lists: dict[str, tuple[str, ...]]) -> list[Item]:
    for name, values in lists.items():
        items = [item.child(i, **{name: value}) for item in items for i, value in enumerate(values)]
    return items
