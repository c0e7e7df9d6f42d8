"""Score judge: a number that a language model gives by the rubric of a prompt file.

In: fields that the prompt reads. Out: the mean of all judges' numbers in `judge`, on the prompt's
own scale; `judge_failed` tells which answers could not be read.
Shown by: `gristmill run pipelines/recipes/synth/code_backtranslation.yaml`.
Limit: judges favour long answers and their own style; check a sample by hand, or use a verifier.

A judge ends with a line `Score: 7` (form: line), or answers with a JSON object (form: json) whose
`score` is the number and whose `reason` comes before it. Several engines or samples are averaged
over the answers that could be read; where none could, `on_failure` decides.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field, model_validator

from gristmill.ids import canonical_json
from gristmill.rng import derive_seed
from synth.calls import Call, Failure, Generate, Structure
from synth.items import Item, Row
from synth.ops import Running, register_op
from synth.parse.json import json_values
from synth.score.asking import Asking, said, unread
from synth.templates import RenderError

PATTERN = r"\bscore\b[\s*_\"'`]*(?:[:=]|\bis\b)[\s*_\"'`(]*(-?\d+(?:\.\d+)?)"


@register_op("score.judge")
class Judge(Asking):
    """Ask one judge, or several, for a number between min and max."""

    engine: str | tuple[str, ...] = "main"  # several: `samples` of each
    samples: int = Field(1, ge=1, le=64)
    min: float = 1
    max: float = 10
    form: Literal["line", "json"] = "line"
    pattern: str = PATTERN  # of `line`: its last match counts, the first group is the number
    guided: bool = False  # the engine lets only such JSON through; needs `form: json`
    keep_text: bool = False  # adds `judge_text`: what the judges wrote
    on_failure: Literal["fail", "null"] = "fail"
    into: str = "judge"

    @model_validator(mode="after")
    def _sound(self) -> Judge:
        if self.min >= self.max:
            raise ValueError(f"judge.min is {self.min:g}; it must be below max, {self.max:g}")
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"judge.samples is {self.samples} at temperature 0, where all are the same; "
                "raise `temperature`"
            )
        if self.guided and self.form != "json":
            raise ValueError("judge.guided needs `form: json`")
        try:
            groups = re.compile(self.pattern).groups
        except re.error as error:
            raise ValueError(f"judge.pattern is {self.pattern!r}: {error}") from None
        if groups != 1:
            raise ValueError(f"judge.pattern has {groups} groups; the one group is the number")
        return self

    def engines(self) -> list[str]:
        return [self.engine] if isinstance(self.engine, str) else list(self.engine)

    def fields(self) -> dict[str, pa.DataType]:
        found = {self.into: pa.float64(), f"{self.into}_failed": pa.string()}
        return found | ({f"{self.into}_text": pa.string()} if self.keep_text else {})

    def structure(self) -> Structure | None:
        if not self.guided:
            return None
        length = max(1, self.max_tokens // 2)  # characters: so that the score is reached
        number = {"type": "number", "minimum": self.min, "maximum": self.max}
        if self.min == int(self.min) and self.max == int(self.max):
            number["type"] = "integer"
        schema = {
            "type": "object",
            "properties": {"reason": {"type": "string", "maxLength": length}, "score": number},
            "required": ["reason", "score"],
            "additionalProperties": False,
        }
        return Structure("json", canonical_json(schema))

    def run(self, items: list[Item], row: Row) -> Running:
        asked: list[Item] = []
        calls: list[Generate] = []
        for item in items:
            try:
                calls += self._calls(item, row)
            except RenderError as error:
                row.fail(self.NAME, error.reason, str(error))
                continue
            asked.append(item)
        if not calls:
            return []
        sent: list[Call] = [*calls]
        answers = yield sent
        found = [
            self._read(said(row, self.into, call, answer))
            for call, answer in zip(calls, answers, strict=True)
        ]
        each = len(calls) // len(asked)
        return [
            item
            for number, item in enumerate(asked)
            if self._taken(item, found[number * each : (number + 1) * each], row)
        ]

    def _calls(self, item: Item, row: Row) -> list[Generate]:
        bases = {e: row.seed_for(self.into, e, *item.path) for e in self.engines()}
        return [
            self.call(engine, item.fields, derive_seed(base, k))
            for engine, base in bases.items()
            for k in range(self.samples)
        ]

    def _read(self, text: str | Failure) -> tuple[float, str] | Failure:
        if isinstance(text, Failure):
            return text
        if self.form == "json":
            value: Any = _last_object(text).get("score")
        else:
            numbers = re.findall(self.pattern, text, re.IGNORECASE)
            value = numbers[-1] if numbers else None
        try:
            score = float(value)
        except (TypeError, ValueError, OverflowError):
            return unread(text, "score")
        if isinstance(value, bool) or not self.min <= score <= self.max:
            limits = f"{self.min:g} to {self.max:g}"
            return Failure("unparsable", f"the score {value!r:.40} is not of {limits}")
        return score, text

    def _taken(self, item: Item, found: list[tuple[float, str] | Failure], row: Row) -> bool:
        """Give an item its score; false where it fails."""
        failures = [one for one in found if isinstance(one, Failure)]
        read = [one for one in found if not isinstance(one, Failure)]
        if not read and self.on_failure == "fail":
            row.fail(self.NAME, failures[0].reason, failures[0].detail)
            return False
        scores = [score for score, _ in read]
        item.fields[self.into] = sum(scores) / len(scores) if scores else None
        item.fields[f"{self.into}_failed"] = ", ".join(one.reason for one in failures) or None
        if self.keep_text:
            item.fields[f"{self.into}_text"] = "\n\n".join(text for _, text in read) or None
        return True


def _last_object(text: str) -> dict[str, Any]:
    """The last JSON object with a score in a text; empty where there is none."""
    found = [v for v in json_values(text) if isinstance(v, dict) and "score" in v]
    return found[-1] if found else {}
