"""JSON in completions: found, read, and valid under a JSON Schema.

In: a completion; a schema. Out: the value, or what is wrong with it; 1.0 or 0.0.
Shown by: `python -m pytest tests/synth/verify/test_structure.py`.
Limit: schemas may not refer to other documents; formats are not checked.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from gristmill.errors import RecipeError
from synth.verify.apart import apart
from synth.verify.installed import require

LONGEST = 1_000_000  # characters of a completion
SECONDS = 5.0
_FENCE = re.compile(r"\A\s*```(?:json)?[ \t]*\n(.*)\n```\s*\Z", re.DOTALL)


def json_text(completion: str) -> str:
    """The completion, without a fence that surrounds all of it."""
    fenced = _FENCE.match(completion) if len(completion) <= LONGEST else None
    return fenced[1] if fenced is not None else completion


def read(completion: str) -> tuple[Any, str]:
    """(value, "") or (None, what is wrong). NaN and Infinity are no JSON."""
    if len(completion) > LONGEST:
        return None, f"longer than {LONGEST} characters"
    try:
        return json.loads(json_text(completion), parse_constant=_refuse), ""
    except (ValueError, RecursionError) as error:
        return None, f"no JSON: {error}"


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


@lru_cache(maxsize=1024)
def validator(schema: str) -> Any:
    """A validator of a schema (JSON text); RecipeError where it is none."""
    require("jsonschema")
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from referencing import Registry

    value, wrong = read(schema)
    if wrong or not isinstance(value, dict | bool):
        raise RecipeError(f"schema is {schema!r:.80}; it is a JSON Schema {wrong}")
    try:
        cls = validator_for(value, Draft202012Validator)
        cls.check_schema(value)
        return cls(value, registry=Registry())
    except Exception as error:  # jsonschema raises nearly anything for odd schemas: TypeError, …
        raise RecipeError(f"schema {schema!r:.80}: {error!s:.200}") from None


def fault(completion: str, schema: str) -> str:
    """What keeps a completion from being valid under a schema; "" where nothing does."""
    checker = validator(schema)
    value, wrong = read(completion)
    if wrong:
        return wrong
    try:
        first = next(iter(checker.iter_errors(value)), None)
    except Exception as error:  # a $ref to nothing, a pattern that does not compile, …
        return f"schema cannot be applied: {error!s:.200}"
    return "" if first is None else f"{first.json_path}: {first.message:.200}"


def fault_or_refused(completion: str, schema: str) -> str:
    """As `fault`; a schema that is none is a fault too."""
    try:
        return fault(completion, schema)
    except RecipeError as error:
        return str(error)


def may_hang(schema: str) -> bool:
    """Whether a schema has patterns, which may backtrack without end."""
    return '"pattern' in schema


def verify_json_schema(completion: str, answer: str, prompt: str = "") -> float:
    """1.0 where the completion is JSON that is valid under the schema that `answer` is."""
    if may_hang(answer):
        where = "synth.verify.structure:fault_or_refused"
        return float(apart(where, (completion, answer), SECONDS) == "")
    return float(fault_or_refused(completion, answer) == "")
