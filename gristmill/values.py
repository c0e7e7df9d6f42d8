"""Values in recipes that pass for what they are not: `.nan` for a number, `yes` for 1.

In: a model and what a user wrote. Out: nothing, or RecipeError with the key, the value, the fix.
Shown by: `gristmill plan` of a recipe with `threshold: .nan`.
Limit: what pydantic refuses by itself (ranges, words, lists) is left to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from gristmill.errors import RecipeError

WIDEST = 1 << 63  # kernels and Parquet count in 64 bits


def check_values(cls: type[BaseModel], given: Any, where: str = "") -> None:
    """Refuse keys that are no text, numbers without end, and yes or no where a number is meant."""
    if not isinstance(given, Mapping):
        return
    fields = {field.alias or name: field for name, field in cls.model_fields.items()}
    for key, value in given.items():
        _check_plain(value, f"{where}{key}")
        if not isinstance(key, str):
            raise RecipeError(f"key {where}{key!r} is not text; keys are names, as `min_words`")
        kinds = _kinds(fields[key].annotation) if key in fields else set()
        if isinstance(value, bool) and kinds & {int, float} and not kinds & {bool, Any}:
            raise RecipeError(f"{where}{key} is {value!r}; it takes a number")
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                check_values(kind, value, f"{where}{key}.")


def _check_plain(value: Any, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise RecipeError(f"{where} is {value!r}; use a finite number")
    if isinstance(value, int) and not -WIDEST <= value < WIDEST:
        raise RecipeError(f"{where} is {value!r}; whole numbers end at 64 bits")
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_plain(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_plain(item, f"{where}.{index}")


def _kinds(annotation: Any) -> set[Any]:
    """The types that a field takes: `int | None` gives int and NoneType."""
    if get_origin(annotation) in (Union, UnionType):
        return set[Any]().union(*map(_kinds, get_args(annotation)))
    return {annotation}
