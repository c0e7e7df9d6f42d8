"""Score verifier: the verifier that each row names, or one for all, gives a reward from 0 to 1.

In: items with a completion, an answer, a verifier's name, a prompt. Out: `reward`.
Shown by: `gristmill run pipelines/recipes/synth/procedural.yaml`.
Limit: verifiers of third parties run in the loop of all rows: they should be quick.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from gristmill.errors import RecipeError
from synth.calls import Call, Failure, Work
from synth.items import Item, Row
from synth.ops import Running, SynthOp, register_op
from synth.sandbox.examine import examination, verdict
from synth.score.given import as_text, texts
from synth.score.maths import JUDGED_WRONG
from synth.verify import IN_SANDBOX, fault_of_answer, verifier
from synth.verify.code import program
from synth.verify.installed import SYMBOLIC as PARSER
from synth.verify.installed import require
from synth.verify.maths import SECONDS, quick, symbolic_arguments
from synth.verify.structure import SECONDS as SCHEMA_SECONDS
from synth.verify.structure import may_hang

Judge = Callable[[Any], float]  # of what a call brought back
SYMBOLIC = "synth.verify.maths:symbolic"
SCHEMA = "synth.verify.structure:fault_or_refused"


@register_op("score.verifier")
class ScoreVerifier(SynthOp):
    """`score: verifier` takes the row's own; `score: {verifier: {name: maths}}` one for all."""

    name: str | None = None  # a verifier for all rows; default: what the field `verifier` names
    of: str = "response"
    answer: str = "answer"
    prompt: str = "prompt"  # the field with the question; some verifiers read it
    verifier: str = "verifier"  # the field that names the verifier
    into: str = "reward"

    def fields(self) -> dict[str, pa.DataType]:
        return {self.into: pa.float64()}

    def packages(self) -> list[str]:
        return ["math-verify", "sympy", "jsonschema", "py3langid"]

    def check(self) -> None:
        if self.name is not None and self.name != IN_SANDBOX:
            verifier(self.name)
        if self.name == "maths":
            require(*PARSER)

    def sandboxed(self) -> bool:
        return self.name == IN_SANDBOX

    def run(self, items: list[Item], row: Row) -> Running:
        kept = list[Item]()
        waiting = list[tuple[Item, Judge]]()
        calls = list[Call]()
        for item in items:
            found = self._judged(item, row)
            if found is None:
                continue
            kept.append(item)
            if isinstance(found, float):
                item.fields[self.into] = found
            else:
                calls.append(found[0])
                waiting.append((item, found[1]))
        if not calls:
            return kept
        lost = set[int]()
        for (item, judge), answer in zip(waiting, (yield calls), strict=True):
            if not isinstance(answer, Failure):
                item.fields[self.into] = judge(answer.value)
            elif answer.reason in JUDGED_WRONG:
                item.fields[self.into] = 0.0
            else:
                row.fail(self.NAME, answer.reason, answer.detail)
                lost.add(id(item))
        return [item for item in kept if id(item) not in lost]

    def _judged(self, item: Item, row: Row) -> float | tuple[Call, Judge] | None:
        """The reward, or the call that brings it, or None where the item failed."""
        given = texts(item, (self.of, self.answer), row, self.NAME)
        name = self.name or as_text(item.fields.get(self.verifier))
        if given is None:
            return None
        if not name:
            row.fail(self.NAME, "missing", f"no field {self.verifier!r} names a verifier")
            return None
        wrong = fault_of_answer(name, given[1])
        if wrong:
            row.fail(self.NAME, "rejected", wrong)
            return None
        slow = _slow(name, *given)
        if slow is not None:
            return slow
        try:
            function = verifier(name)
        except RecipeError as error:
            row.fail(self.NAME, "rejected", str(error))
            return None
        return float(function(*given, as_text(item.fields.get(self.prompt)) or ""))


def _all_passed(outcome: Any) -> float:
    return float(verdict(outcome).whole)


def _slow(name: str, completion: str, answer: str) -> tuple[Call, Judge] | None:
    """The call of verifiers that must not run here."""
    if name == IN_SANDBOX:
        return examination(program(completion), answer), _all_passed
    if name == "maths" and quick(completion, answer) is None:
        require(*PARSER)
        arguments = symbolic_arguments(completion, answer)
        return Work(SYMBOLIC, arguments, SECONDS), float
    if name == "json_schema" and may_hang(answer):
        return Work(SCHEMA, (completion, answer), SCHEMA_SECONDS), lambda found: float(not found)
    return None
