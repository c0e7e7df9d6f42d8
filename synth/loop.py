"""Loop: run a body again until a field says that it is done, or a number of times.

In: items; those that are done already go round no time. Out: items that are done; what is still
not done after `max` rounds goes on as it is, or is filtered.
Shown by: `gristmill run pipelines/recipes/synth/code_feedback.yaml`.
Limit: all items of a row go round together; the slowest holds its row, not others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field, field_serializer, field_validator

from synth.flow import through
from synth.items import Item, Row
from synth.ops import Running, SynthOp, dump_ops, every, parse_ops, register_op


@register_op("loop")
class Loop(SynthOp):
    """Rounds of a body. `until` names a true-or-false field; without it, every item goes round."""

    max: int = Field(ge=1, le=1000)
    until: str | None = None
    do: tuple[SynthOp, ...]
    undone: Literal["keep", "filter"] = "keep"  # items for which `until` never came true
    counter: str = "round"  # the field that tells the body which round it is, from 0

    @field_validator("do", mode="before")
    @classmethod
    def _parse(cls, entries: Any) -> tuple[SynthOp, ...]:
        return parse_ops(entries, "loop.do")

    @field_serializer("do")
    def _dump(self, ops: tuple[SynthOp, ...]) -> list[dict[str, Any]]:
        return dump_ops(ops)

    def inner(self) -> Sequence[SynthOp]:
        return self.do

    def fields(self) -> dict[str, pa.DataType]:
        found = {self.counter: pa.int64()}
        for op in every(self.do):
            found |= op.fields()
        return found

    def run(self, items: list[Item], row: Row) -> Running:
        done, active = self._split(items)
        outer = row.turn
        for turn in range(self.max):
            if not active:
                break
            row.turn = (*outer, turn)
            for item in active:
                item.fields[self.counter] = turn
            active = yield from through(self.do, active, row)
            ended, active = self._split(active)
            done += ended
        row.turn = outer
        if self.until is not None and self.undone == "filter":
            for _ in active:
                row.filter("loop", f"loop.{self.until}", float(self.max), float(self.max))
            active = []
        return sorted([*done, *active], key=lambda item: item.path)

    def _split(self, items: list[Item]) -> tuple[list[Item], list[Item]]:
        """Those that are done, and those that go round."""
        if self.until is None:
            return [], items
        done = [item for item in items if item.fields.get(self.until)]
        return done, [item for item in items if not item.fields.get(self.until)]
