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
    """A task of a phase failed; finished tasks are kept for the same command."""


def nearest(value: str, candidates: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the closest candidate, or the list of them, or nothing."""
    known = sorted(set(candidates))
    close = get_close_matches(value, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known[:20])}" if known else ""


_TAKES = {
    **dict.fromkeys(("tuple_type", "list_type"), "it takes a list"),
    **dict.fromkeys(("model_type", "dict_type"), "it takes a mapping"),
}


def explain(error: ValidationError, cls: type[BaseModel]) -> str:
    """The first problem that pydantic found, in our form: value, rule, fix."""
    from gristmill.branches import first_problem

    first, path, model = first_problem(error.errors(include_url=False), cls)
    key = ".".join(path)
    known = keys_of(model)
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}{nearest(path[-1], known)}"
    if first["type"] == "missing":
        return f"key {key!r} is missing"
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    return f"{key} is {first['input']!r}: {_TAKES.get(first['type'], first['msg'])}"


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys of a model as a user writes them."""
    return [field.alias or name for name, field in model.model_fields.items()]
