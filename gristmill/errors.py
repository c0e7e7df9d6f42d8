"""Errors for users: the value seen, the rule it broke, the fix.

In: what went wrong. Out: one exception type that the command line prints without a traceback.
Shown by: `gristmill run nowhere.yaml`. Limit: messages are English only.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError


class GristmillError(Exception):
    """A mistake that the user can mend. The message gives the value seen, the rule and the fix."""


class StoreError(GristmillError):
    """The store refuses: a bad name, a missing version, a commit that is not deterministic."""


class RecipeError(GristmillError):
    """The recipe is not valid: an unknown key, a missing variable, a step that cannot be."""


class TaskError(GristmillError):
    """A task of a phase failed; finished tasks are kept and the same command continues."""


def nearest(value: str, candidates: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the closest candidate, or the list of them, or nothing."""
    known = sorted(set(candidates))
    close = get_close_matches(value, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known[:20])}" if known else ""


def explain(error: ValidationError, cls: type[BaseModel]) -> str:
    """The first problem that pydantic found, in our form: value, rule, fix."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = [f.alias or name for name, f in cls.model_fields.items()]
        return f"unknown key {key!r}{nearest(key.rpartition('.')[2], known)}"
    if first["type"] == "missing":
        return f"key {key!r} is missing"
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    return f"{key} is {first['input']!r}: {first['msg']}"
