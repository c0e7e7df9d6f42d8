"""An examination: a program, unit tests, and the verdict on each test.

In: program and tests as text. Out: one Execute call; of its Outcome a Verdict.
Shown by: `python -m pytest tests/synth/score/test_tests.py`.
Limit: what a program says of its own objects is believed: `in`, `len`, methods, and `==` of two.

The tests never meet the program in one process. An examiner holds them and asks a candidate
process to call the program's functions; what comes back are plain values, compared on the
examiner's side. So a program cannot pass by exiting, printing, patching or reading the tests.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from synth.calls import Execute
from synth.sandbox.limits import Outcome

_INSIDE = Path(__file__).with_name("inside")
_MAIN = "from inside.examiner import main\n\nmain()\n"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many of the tests passed, and what to tell of the first that did not."""

    passed: int
    total: int
    whole: bool  # every test passed, and the setup between them too
    feedback: str  # "" where all passed


@lru_cache(maxsize=1)
def _files() -> dict[str, str]:
    """The examiner and what it imports."""
    return {f"inside/{path.name}": path.read_text("utf-8") for path in sorted(_INSIDE.glob("*.py"))}


def examination(program: str, tests: str) -> Execute:
    """The call that runs `tests` against `program`."""
    return Execute(_MAIN, json.dumps({"program": program, "tests": tests}), _files())


def verdict(outcome: Outcome) -> Verdict:
    """What the examiner wrote. A test that was not reached did not pass."""
    passed = total = 0
    problem = begun = printed = ""
    whole = ended = False
    for line in outcome.stdout.splitlines():
        try:
            told = json.loads(line)
        except ValueError:  # cut off where the examiner was stopped
            break
        if "total" in told:
            total = told["total"]
        elif "begin" in told:
            begun = told["begin"]
        elif "passed" in told:
            passed += told["passed"]
            begun = ""
        elif "failed" in told:
            problem = problem or f"{told['failed']}\n{told['error']}"
            begun = ""
        elif "load" in told:
            problem = f"the program could not be loaded:\n{told['load']}"
        else:
            printed, ended = told["printed"], True
    if not problem and not ended:
        problem = f"{begun}\n{stopped(outcome)}".strip()
    whole = ended and not problem
    parts = [problem, f"printed:\n{printed[-500:]}" if printed else ""]
    parts.append(f"stderr:\n{outcome.stderr[-500:]}" if outcome.stderr.strip() else "")
    feedback = (
        "" if whole else "\n".join([f"{passed} of {total} tests passed", *filter(None, parts)])
    )
    return Verdict(passed, total, whole, feedback)


def stopped(outcome: Outcome) -> str:
    """How a program ended, in words."""
    if outcome.why:
        return f"stopped at its limit of {outcome.why}" if outcome.why != "killed" else "killed"
    if outcome.signal:
        return f"died of {outcome.signal}"
    return f"ended with exit code {outcome.returncode}"
