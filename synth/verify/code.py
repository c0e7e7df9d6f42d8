"""Code: the program that a completion holds, with the tests of its row; for the sandbox only.

In: a completion; tests as program text. Out: one program to run, which ends well if all tests pass.
Shown by: `python -m pytest tests/synth/score/test_verifier.py`.
Limit: Python; a row's tests stand in `answer` as assertions.
"""

from __future__ import annotations

import re

_FENCE = re.compile(r"```[ \t]*([\w+-]*)[ \t]*\n(.*?)(?:\n```|\Z)", re.DOTALL)
PYTHON = {"", "py", "python", "python3"}


def program(completion: str) -> str:
    """The last fenced block of Python, or the whole completion where there is no fence."""
    blocks = _FENCE.findall(completion)
    if not blocks:
        return completion
    ours = [text for name, text in blocks if name.lower() in PYTHON]
    return ours[-1] if ours else ""


def with_tests(completion: str, answer: str, token: str) -> str:
    """The program, its tests after it, and the token printed if the end is reached.

    A program that leaves early (`sys.exit(0)`) does not print a token that it does not know.
    """
    return f"{program(completion)}\n\n{answer}\n\nprint({token!r})\n"


def passed(returncode: int, stdout: str, token: str) -> bool:
    """Whether a run of it reached its end."""
    return returncode == 0 and stdout.rstrip().endswith(token)
