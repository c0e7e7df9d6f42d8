"""Instructions that a program can check: length, words to use or avoid, case, form, language.

In: constraints as JSON, e.g. `{"words": {"max": 50}, "case": "lower"}`; a completion.
Out: checks; 1.0 where all hold, or the share that holds.
Shown by: `python -m pytest tests/synth/verify/test_constraints.py`.
Limit: each kind once a mapping; give a list of mappings to use one twice.

The kinds cover the verifiable instructions of IFEval (arXiv 2311.07911); the checks are ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from gristmill.errors import RecipeError, nearest
from synth.verify.checks import KINDS

Check = Callable[[str, str], bool]  # (completion, prompt)


@lru_cache(maxsize=4096)
def compiled(spec: str) -> tuple[tuple[str, Check], ...]:
    """The checks of constraints in JSON, with their kinds; RecipeError where they are none."""
    try:
        value = json.loads(spec)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"constraints are {spec!r:.80}; they are JSON: {error}") from None
    parts = value if isinstance(value, list) else [value]
    if not parts or not all(isinstance(part, dict) and part for part in parts):
        raise RecipeError(f"constraints are {spec!r:.80}; write {{KIND: OPTIONS}} or a list of it")
    return tuple(
        (kind, check_of(kind, options)) for part in parts for kind, options in part.items()
    )


def check_of(kind: str, options: Any) -> Check:
    """One check."""
    if kind not in KINDS:
        raise RecipeError(f"constraints have an unknown kind {kind!r}{nearest(kind, KINDS)}")
    try:
        return KINDS[kind](options)
    except RecipeError as error:
        raise RecipeError(f"constraint {kind!r}: {error}") from None


def results(completion: str, spec: str, prompt: str = "") -> list[tuple[str, bool]]:
    """Which constraints hold."""
    return [(kind, check(completion, prompt)) for kind, check in compiled(spec)]


def _held(completion: str, answer: str, prompt: str) -> list[bool]:
    try:
        return [held for _, held in results(completion, answer, prompt)]
    except RecipeError:
        return []


def verify_constraints(completion: str, answer: str, prompt: str = "") -> float:
    """1.0 where every constraint that `answer` writes as JSON holds."""
    held = _held(completion, answer, prompt)
    return float(bool(held) and all(held))


def verify_constraints_share(completion: str, answer: str, prompt: str = "") -> float:
    """The share of the constraints that hold."""
    held = _held(completion, answer, prompt)
    return sum(held) / len(held) if held else 0.0
