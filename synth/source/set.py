"""Set: fields from fields: a text by a template, any value by an expression.

In: items. Out: the same items with further fields, or with other values in them.
Shown by: `gristmill run pipelines/recipes/synth/dialogues.yaml`.
Limit: the fields of one `set` do not see each other; write two where one needs the other.

`set: {history: "{{ history }}\\n\\n{{ text }}"}` renders a text. `set: {values: {right:
"verdict == 'correct'"}}` takes what an expression gives: a number, a list, true or false.
"""

from __future__ import annotations

import pyarrow as pa
from pydantic import ConfigDict, Field, model_validator

from synth.items import Item, Row
from synth.ops import SynthOp, any_field, register_op
from synth.templates import RenderError, expression, template


@register_op("set")
class Set(SynthOp):
    """`texts`: templates; `values`: expressions. `set: {name: template}` is short for `texts`."""

    model_config = ConfigDict(json_schema_extra=any_field)
    texts: dict[str, str] = Field({})
    values: dict[str, str] = Field({})

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: object) -> object:
        if isinstance(given, dict) and not given.keys() & {"texts", "values"}:
            return {"texts": given}
        return given

    @model_validator(mode="after")
    def _compiles(self) -> Set:
        if not self.texts and not self.values:
            raise ValueError("set names no field; write `set: {field: template}`")
        if twice := self.texts.keys() & self.values.keys():
            raise ValueError(f"set gives {min(twice)!r} both as a text and as a value")
        for name, text in self.texts.items():
            template(text, f"set.{name}")
        for name, text in self.values.items():
            expression(text, f"set.values.{name}")
        return self

    def fields(self) -> dict[str, pa.DataType]:
        return dict.fromkeys(self.texts, pa.string())

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        kept = []
        for item in items:
            try:
                texts = {n: template(t).render(item.fields) for n, t in self.texts.items()}
                values = {n: expression(t).value(item.fields) for n, t in self.values.items()}
            except RenderError as error:
                row.fail("set", error.reason, str(error))
                continue
            item.fields |= {**texts, **values}
            kept.append(item)
        return kept
