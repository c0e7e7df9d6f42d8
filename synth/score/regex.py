"""Score regex: whether a pattern is found in a field.

In: items with a text. Out: `matched`, yes or no.
Shown by: `python -m pytest tests/synth/score/test_score_regex.py`.
Limit: a pattern that backtracks without end holds up all rows; `seconds` runs it elsewhere and ends
it.
"""

from __future__ import annotations

import re
from functools import lru_cache

import pyarrow as pa
from pydantic import Field, field_validator

from gristmill.errors import RecipeError
from synth.calls import Call, Failure, Work
from synth.items import Item, Row
from synth.ops import Running, SynthOp, register_op
from synth.score.given import texts


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def found(pattern: str, text: str, whole: bool) -> bool:
    """Whether the pattern is in the text, or is all of it."""
    matcher = _compiled(pattern)
    return (matcher.fullmatch(text) if whole else matcher.search(text)) is not None


@register_op("score.regex")
class ScoreRegex(SynthOp):
    """`score: {regex: {pattern: '^\\d+$', of: response, into: matched}}`."""

    pattern: str
    of: str = "response"
    into: str = "matched"
    whole: bool = False  # the pattern must match all of the text
    seconds: float | None = Field(None, gt=0, le=60)  # a limit, for patterns that may not end

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            _compiled(value)
        except (re.error, OverflowError, RecursionError) as error:
            raise RecipeError(f"pattern is {value!r:.80}: {error}") from None
        return value

    def fields(self) -> dict[str, pa.DataType]:
        return {self.into: pa.bool_()}

    def run(self, items: list[Item], row: Row) -> Running:
        given = [(item, texts(item, (self.of,), row, self.NAME)) for item in items]
        kept = [(item, text[0]) for item, text in given if text is not None]
        if self.seconds is None or not kept:
            for item, text in kept:
                item.fields[self.into] = found(self.pattern, text, self.whole)
            return [item for item, _ in kept]
        calls: list[Call] = [
            Work("synth.score.regex:found", (self.pattern, text, self.whole), self.seconds)
            for _, text in kept
        ]
        done = []
        for (item, _), answer in zip(kept, (yield calls), strict=True):
            if isinstance(answer, Failure):
                row.fail(self.NAME, answer.reason, answer.detail)
                continue
            item.fields[self.into] = bool(answer.value)
            done.append(item)
        return done
