"""Score maths: whether a completion's final answer is mathematically the right one.

In: items with a completion and an answer. Out: `correct`, yes or no.
Shown by: `gristmill run pipelines/recipes/synth/rejection_maths.yaml`.
Limit: see synth.verify.maths; an answer that cannot be judged in time is wrong.
"""

from __future__ import annotations

import pyarrow as pa
from pydantic import Field

from synth.calls import Call, Failure, Work
from synth.items import Item, Row
from synth.ops import Running, SynthOp, register_op
from synth.score.given import texts
from synth.verify.installed import SYMBOLIC, require
from synth.verify.maths import SECONDS, quick, symbolic_arguments

JUDGED_WRONG = {"timeout", "crashed"}  # a fault of the answer itself


@register_op("score.maths")
class ScoreMaths(SynthOp):
    """`score: maths`, or `score: {maths: {of: solution, answer: truth, into: correct}}`."""

    of: str = "response"
    answer: str = "answer"
    into: str = "correct"
    seconds: float = Field(SECONDS, gt=0, le=600)  # for one symbolic comparison

    def fields(self) -> dict[str, pa.DataType]:
        return {self.into: pa.bool_()}

    def packages(self) -> list[str]:
        return ["math-verify", "sympy"]

    def check(self) -> None:
        require(*SYMBOLIC)

    def run(self, items: list[Item], row: Row) -> Running:
        kept, open_items, calls = list[Item](), list[Item](), list[Call]()
        for item in items:
            given = texts(item, (self.of, self.answer), row, self.NAME)
            if given is None:
                continue
            verdict = quick(*given)
            item.fields[self.into] = verdict
            kept.append(item)
            if verdict is None:
                open_items.append(item)
                arguments = symbolic_arguments(*given)
                calls.append(Work("synth.verify.maths:symbolic", arguments, self.seconds))
        if not calls:
            return kept
        answers = yield calls
        for item, answer in zip(open_items, answers, strict=True):
            if not isinstance(answer, Failure):
                item.fields[self.into] = bool(answer.value)
            elif answer.reason in JUDGED_WRONG:
                item.fields[self.into] = False
            else:
                row.fail(self.NAME, answer.reason, answer.detail)
                kept = [other for other in kept if other is not item]
        return kept
