"""Score tests: runs an item's program against unit tests, in the sandbox.

In: a program; tests as Python text, as a list of assert lines, or as pairs of stdin and stdout.
Out: `passed`, `passed_rate` (tests that passed / tests) and `passed_feedback` for the next prompt.
Shown by: `python -m pytest tests/synth/score/test_tests.py`.
Limit: Python; what no plain value shows (an object's own `==`) is the program's word.

Tests as text run in a process that the program cannot reach (see synth.sandbox.examine); expected
outputs of pairs are never sent into the sandbox at all.
"""

from __future__ import annotations

import ast
import json
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from synth.calls import Answer, Call, Execute, Failure
from synth.items import Item, Row
from synth.ops import Running, SynthOp, register_op
from synth.sandbox.examine import Verdict, examination, stopped, verdict
from synth.sandbox.limits import Outcome
from synth.score.given import texts

LONGEST = 100_000  # characters that are parsed in this process; longer ones parse in the sandbox
_STDIN, _STDOUT = ("stdin", "input"), ("stdout", "output")
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Asked:
    """An item whose program runs, and how many calls are its own."""

    item: Item
    pairs: tuple[Pair, ...]  # empty: an examination
    calls: int


@register_op("score.tests")
class ScoreTests(SynthOp):
    """`score: tests`, or `score: {tests: {program: code, tests: test_list, into: passed}}`."""

    program: str = "code"
    tests: str = "tests"
    into: str = "passed"

    def fields(self) -> dict[str, pa.DataType]:
        return {
            self.into: pa.bool_(),
            f"{self.into}_rate": pa.float64(),
            f"{self.into}_feedback": pa.string(),
        }

    def sandboxed(self) -> bool:
        return True

    def run(self, items: list[Item], row: Row) -> Running:
        kept, asked, calls = list[Item](), list[_Asked](), list[Call]()
        for item in items:
            given = texts(item, (self.program,), row, self.NAME)
            if given is None:
                continue
            tests = read_tests(item.fields.get(self.tests))
            if isinstance(tests, Failure):
                row.fail(self.NAME, tests.reason, f"field {self.tests!r}: {tests.detail}")
                continue
            kept.append(item)
            wrong = syntax_error(given[0])
            if wrong:
                self._set(item, Verdict(0, 1, False, wrong))
                continue
            new = program_calls(given[0], tests)
            asked.append(_Asked(item, () if isinstance(tests, str) else tuple(tests), len(new)))
            calls += new
        if not calls:
            return kept
        answers = yield calls
        for one in asked:
            mine, answers = answers[: one.calls], answers[one.calls :]
            lost = next((answer for answer in mine if isinstance(answer, Failure)), None)
            if lost is not None:
                row.fail(self.NAME, lost.reason, lost.detail)
                kept = [item for item in kept if item is not one.item]
                continue
            outcomes = [answer.value for answer in mine if isinstance(answer, Answer)]
            found = judge_pairs(one.pairs, outcomes) if one.pairs else verdict(outcomes[0])
            self._set(one.item, found)
        return kept

    def _set(self, item: Item, found: Verdict) -> None:
        item.fields[self.into] = found.whole
        item.fields[f"{self.into}_rate"] = found.passed / found.total if found.total else 0.0
        item.fields[f"{self.into}_feedback"] = found.feedback


def read_tests(value: Any) -> str | list[Pair] | Failure:
    """Python text, or pairs of stdin and stdout; a text that is a JSON list is read as one."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            pass  # Python that begins with a list
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        value = "\n".join(value)
    if isinstance(value, str):
        wrong = syntax_error(value)
        if wrong or not any(
            isinstance(n, ast.Assert | ast.Call) for n in ast.walk(ast.parse(value))
        ):
            return Failure("unparsable", wrong or "there is no assertion and no call in the tests")
        return value
    if not isinstance(value, list) or not value:
        return Failure("missing", f"{value!r:.80} is neither Python tests nor pairs of in and out")
    pairs = [_pair(one) for one in value]
    if None in pairs:
        return Failure("unparsable", f"{value[pairs.index(None)]!r:.80}: give stdin and stdout")
    return [pair for pair in pairs if pair is not None]


def _pair(value: Any) -> Pair | None:
    """`{stdin: …, stdout: …}`, `{input: …, output: …}`, or a list of the two."""
    if isinstance(value, dict):
        value = [next((value[k] for k in keys if k in value), None) for keys in (_STDIN, _STDOUT)]
    if isinstance(value, list | tuple) and len(value) == 2:
        given, wanted = value
        if isinstance(given, str) and isinstance(wanted, str):
            return given, wanted
    return None


def syntax_error(program: str) -> str:
    """What is wrong with a program's form, as Python says it; "" where nothing is."""
    if len(program) > LONGEST:
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(program, "solution.py", "exec", dont_inherit=True)
    except SyntaxError as error:
        return "".join(traceback.format_exception_only(error)).strip()
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def program_calls(program: str, tests: str | Sequence[Pair]) -> list[Call]:
    """One examination, or one run of the program for each pair."""
    if isinstance(tests, str):
        return [examination(program, tests)]
    return [Execute(program, given) for given, _ in tests]


def judge_pairs(pairs: Sequence[Pair], outcomes: Sequence[Outcome]) -> Verdict:
    """A pair passes where the program ended well and printed what was wanted.

    White space at ends of lines and empty lines at the end do not count.
    """
    passed, problem = 0, ""
    for (given, wanted), outcome in zip(pairs, outcomes, strict=True):
        right = _lines(outcome.stdout) == _lines(wanted)
        if right and outcome.returncode == 0 and not outcome.why:
            passed += 1
            continue
        if problem:
            continue
        problem = f"stdin:\n{given[:500]}\nwanted stdout:\n{wanted[:500]}\n"
        problem += f"stdout:\n{outcome.stdout[-500:]}\n{stopped(outcome)}"
        if outcome.stderr.strip():
            problem += f"\nstderr:\n{outcome.stderr[-500:]}"
    total = len(pairs)
    feedback = f"{passed} of {total} tests passed\n{problem}" if problem else ""
    return Verdict(passed, total, passed == total, feedback)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]
