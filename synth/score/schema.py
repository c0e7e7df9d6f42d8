"""Score schema: whether a field is JSON that is valid under a JSON Schema.

In: items with a text. Out: `valid`, yes or no.
Shown by: `python -m pytest tests/synth/score/test_schema.py`.
Limit: references to other documents and formats are not followed.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from gristmill.errors import RecipeError
from gristmill.ids import canonical_json
from synth.calls import Call, Failure, Work
from synth.items import Item, Row
from synth.ops import Running, SynthOp, register_op
from synth.score.given import texts
from synth.verify.structure import SECONDS, fault, may_hang, validator


@register_op("score.schema")
class ScoreSchema(SynthOp):
    """`score: {schema: {schema: {type: object}}}`, or the path of a JSON file."""

    rules: dict[str, Any] | str = Field(alias="schema")
    of: str = "response"
    into: str = "valid"

    def fields(self) -> dict[str, pa.DataType]:
        return {self.into: pa.bool_()}

    def files(self) -> list[str]:
        return [self.rules] if isinstance(self.rules, str) else []

    def packages(self) -> list[str]:
        return ["jsonschema"]

    def check(self) -> None:
        validator(self.text)

    @cached_property
    def text(self) -> str:
        """The schema as JSON."""
        if not isinstance(self.rules, str):
            return canonical_json(self.rules)
        try:
            return json.dumps(json.loads(Path(self.rules).read_text(encoding="utf-8")))
        except OSError as error:
            raise RecipeError(f"schema {self.rules!r} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise RecipeError(f"schema {self.rules!r} is no JSON: {error}") from None

    def run(self, items: list[Item], row: Row) -> Running:
        given = [(item, texts(item, (self.of,), row, self.NAME)) for item in items]
        found = [(item, text[0]) for item, text in given if text is not None]
        if not may_hang(self.text):
            for item, text in found:
                item.fields[self.into] = not fault(text, self.text)
            return [item for item, _ in found]
        where = "synth.verify.structure:fault_or_refused"
        calls: list[Call] = [Work(where, (text, self.text), SECONDS) for _, text in found]
        if not calls:
            return []
        kept = []
        for (item, _), answer in zip(found, (yield calls), strict=True):
            if isinstance(answer, Failure):
                row.fail(self.NAME, answer.reason, answer.detail)
                continue
            item.fields[self.into] = answer.value == ""
            kept.append(item)
        return kept
