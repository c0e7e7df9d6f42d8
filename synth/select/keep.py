"""Select pass: items that meet conditions on their fields go on; every other is filtered, with why.

In: items with values and scores. Out: those that meet all conditions.
Shown by: `gristmill run pipelines/recipes/synth/rejection_maths.yaml`.
Limit: conditions are all needed; a choice between rules is a field that a scorer makes.

    - select:
        pass: {correct: true, words: {min: 20, max: 400}, language: [en, de], near: {below: 0.8}}

A value alone must be equal, of a list one must be; min and max are met by the limit itself, above
and below are not. A field that is absent or null is a failure, `missing`.
"""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator, model_serializer, model_validator

from gristmill.errors import RecipeError
from synth.items import Item, Row
from synth.ops import SynthOp, any_field, register_op

Scalar = bool | int | float | str


class Range(BaseModel):
    """Limits of a number."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    min: float | None = None
    max: float | None = None
    above: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _some(self) -> Range:
        if not self.limits():
            raise ValueError("a range has at least one of min, max, above, below")
        return self

    @model_serializer
    def limits(self) -> dict[str, float]:
        """Those that are given."""
        found = {k: getattr(self, k) for k in ("min", "max", "above", "below")}
        return {k: limit for k, limit in found.items() if limit is not None}


@register_op("select.pass")
class Pass(SynthOp):
    """Conditions as data: {field: value | [values] | {min, max, above, below}}."""

    model_config = ConfigDict(json_schema_extra=any_field)
    conditions: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        return {"conditions": given}

    @classmethod
    def from_scalar(cls, value: Any) -> Pass:
        raise RecipeError(f"pass is {value!r:.80}; name a field, e.g. `pass: {{correct: true}}`")

    @field_validator("conditions")
    @classmethod
    def _parse(cls, given: dict[str, Any]) -> dict[str, Any]:
        if not given:
            raise ValueError("pass is empty; name a field, e.g. `pass: {correct: true}`")
        return {field: _condition(field, value) for field, value in given.items()}

    @model_serializer
    def _dump(self) -> dict[str, Any]:
        return {
            field: value.limits() if isinstance(value, Range) else value
            for field, value in self.conditions.items()
        }

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        return [item for item in items if self._meets(item, row)]

    def _meets(self, item: Item, row: Row) -> bool:
        for field, wanted in self.conditions.items():
            value = item.fields.get(field)
            if value is None or (isinstance(value, float) and math.isnan(value)):
                row.fail(self.NAME, "missing", f"field {field!r} is {value!r}")
                return False
            if isinstance(wanted, Range):
                if not isinstance(value, bool | int | float):
                    row.fail(self.NAME, "missing", f"field {field!r} is {value!r:.60}, no number")
                    return False
                for name, limit in wanted.limits().items():
                    if not _within(value, name, limit):
                        row.filter(self.NAME, f"{field}.{name}", float(value), limit)
                        return False
            elif isinstance(wanted, tuple):
                if value not in wanted:
                    row.filter(self.NAME, f"{field}.in", _number(value))
                    return False
            elif value != wanted:
                row.filter(self.NAME, f"{field}.is", _number(value), _number(wanted))
                return False
        return True


def _condition(field: str, value: Any) -> Any:
    if isinstance(value, Range | bool | int | float | str):
        return value
    if isinstance(value, dict):
        try:
            return Range.model_validate(value)
        except ValueError:
            raise ValueError(
                f"pass.{field} is {value!r:.80}; a range has numbers as min, max, above or below"
            ) from None
    if isinstance(value, list | tuple) and value and all(isinstance(v, Scalar) for v in value):
        return tuple(value)
    raise ValueError(
        f"pass.{field} is {value!r:.80}; it takes a value, a list of values, or "
        "{min, max, above, below}"
    )


def _within(value: float, name: str, limit: float) -> bool:
    if name == "min":
        return value >= limit
    if name == "max":
        return value <= limit
    return value > limit if name == "above" else value < limit


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, bool | int | float) else None
