"""Code: the program that a completion holds. It is judged in the sandbox only: see score.verifier.

In: a completion. Out: the text of a program.
Shown by: `python -m pytest tests/synth/score/test_verifier_code.py`. Limit: Python.
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
