"""score_tokens: how probable a model finds a text, token by token, and what it would have said.

In: a field's text, with `after` the text that comes before it. Out: `score_logprob` (the sum, in
nats) and `score_tokens` (how many); with `top` the answer that `emit: {kind: teacher}` writes.
Shown by: `gristmill run pipelines/recipes/synth/teacher.yaml`.
Limit: the first token of a text without a token before it (a BOS, or `after`) has no probability,
and is not among the rows of a teacher.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
from pydantic import Field

from gristmill.ids import canonical_json
from synth.calls import Answer, Call, Failure, ScoreTokens
from synth.items import Item, Made, Row, made_of
from synth.ops import Running, SynthOp, register_op
from synth.values import text_of


@register_op("score_tokens")
class ScoreText(SynthOp):
    """Log-probabilities of a text by a model, at temperature 1."""

    of: str = "text"
    after: str | None = None  # field: what comes before, read and not scored
    engine: str = "main"
    top: int = Field(0, ge=0)  # the most probable tokens told at each place
    into: str = "score"  # adds INTO_logprob and INTO_tokens

    def engines(self) -> list[str]:
        return [self.engine]

    def fields(self) -> dict[str, pa.DataType]:
        return {f"{self.into}_logprob": pa.float64(), f"{self.into}_tokens": pa.int64()}

    def run(self, items: list[Item], row: Row) -> Running:
        asked: list[Item] = []
        calls: list[Call] = []
        for item in items:
            text = text_of(item, self.of, row, self.NAME)
            before = text_of(item, self.after, row, self.NAME) if self.after else ""
            if text is None or before is None:
                continue
            asked.append(item)
            calls.append(ScoreTokens(self.engine, text=text, prefix_text=before, top=self.top))
        if not calls:
            return []
        kept = []
        for item, answer in zip(asked, (yield calls), strict=True):
            if isinstance(answer, Failure):
                row.fail(self.NAME, answer.reason, answer.detail)
                continue
            new = item.child()
            new.fields[f"{self.into}_logprob"] = answer.logprob
            new.fields[f"{self.into}_tokens"] = len(answer.token_logprobs or ())
            new.answer = answer
            new.made = (*item.made, self._made(answer))
            kept.append(new)
        return kept

    def _made(self, answer: Answer) -> Made:
        """Who scored: nothing was written, but the numbers are the model's."""
        made = made_of(self.NAME, self.engine, answer, canonical_json({"top": self.top}))
        return replace(made, finish_reason="", completion_tokens=0)
