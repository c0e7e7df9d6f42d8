"""One step for whoever writes a recipe at a terminal: its keys as a table, or its JSON Schema.

In: a step's name. Out: rows of key, type, default and meaning, nested keys with dots; or a schema.
Shown by: `gristmill schema train`.
Limit: the ops of `curate` and `synthesize` are named, not described: docs/ops.md does that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from enum import Enum
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from curation import ops
from gristmill.branches import is_model, options
from pipelines.json_schema import REF, field_comments, recipe_schema
from pipelines.steps import step_class
from synth import ops as synth_ops
from synth.engines.spec import ENGINES
from train.evaluate.spec import task_class, task_names
from train.spec.loss import loss_class, loss_names
from train.weights import op as weights_op

Row = dict[str, Any]
_WORDS = {str: "text", int: "whole number", float: "number", bool: "yes or no", Any: "any"}
_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
# Keys whose value is a name of a registry, with that one's options.
_CHOICES: dict[tuple[str, str], tuple[Callable[[], list[str]], Callable[[str], type] | None]] = {
    ("train", "loss"): (loss_names, loss_class),
    ("checkpoint", "op"): (weights_op.op_names, weights_op.op_class),
    ("evaluate", "tasks"): (task_names, task_class),
    ("curate", "ops"): (ops.op_names, None),
    ("synthesize", "do"): (synth_ops.op_names, None),
    ("synthesize", "engines"): (lambda: sorted(ENGINES), None),
}


def step_rows(use: str) -> list[Row]:
    """Every key of a step."""
    return [row for row in _rows(step_class(use), "", use) if row["key"] != "use"]


def step_schema(use: str) -> dict[str, Any]:
    """The schema of one step, with the definitions that it refers to."""
    step_class(use)  # an unknown one is told
    found = recipe_schema()["$defs"]
    wanted: dict[str, Any] = {}
    todo = [f"step.{use}"]
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted[name] = found[name]
            todo += re.findall(f'"{re.escape(REF)}([^"]+)"', json.dumps(found[name]))
    return {**wanted.pop(f"step.{use}"), "$defs": wanted}


def _rows(cls: type[BaseModel], prefix: str, use: str = "") -> Iterator[Row]:
    comments = field_comments(cls)
    for name, field in cls.model_fields.items():
        key = field.alias or name
        path = prefix + key
        kind, choice = _words(field), _CHOICES.get((use, key))
        if choice is not None:
            kind = f"one of {', '.join(choice[0]())}"
        about = field.description or comments.get(name, "")
        yield {"key": path, "type": kind, "default": _default(field), "meaning": about}
        if choice is not None:
            yield from _chosen(choice, "" if (use, key) == ("checkpoint", "op") else f"{path}.")
            continue
        for model in filter(is_model, _parts(field.annotation)):
            yield from _rows(model, f"{path}.")


def _chosen(
    choice: tuple[Callable[[], list[str]], Callable[[str], type] | None], prefix: str
) -> Iterator[Row]:
    """The options of each name."""
    names, find = choice
    for name in names() if find is not None else ():
        assert find is not None
        yield from _rows(find(name), f"{prefix}{name}.")


def _parts(annotation: Any) -> Iterator[Any]:
    """The types in an annotation, those of lists and mappings too."""
    for option in options(annotation):
        inner = [] if get_origin(option) in (None, Literal) else get_args(option)
        yield option
        for arg in inner:
            if arg is not Ellipsis:
                yield from _parts(arg)


def _words(field: FieldInfo) -> str:
    """`number > 0`, `'drop' or 'cut'`, `text or mapping`."""
    limits = [
        f" {sign} {bound:g}"
        for rule in field.metadata
        for attribute, sign in _SIGNS.items()
        if (bound := getattr(rule, attribute, None)) is not None
    ]
    return _type(field.annotation) + ",".join(limits)


def _type(annotation: Any) -> str:
    told = [_one(option) for option in options(annotation) if option is not NoneType]
    return " or ".join(dict.fromkeys(told))


def _one(option: Any) -> str:
    origin, args = get_origin(option), get_args(option)
    if origin is Literal:
        return " or ".join(map(repr, args))
    if is_model(option) or origin is dict or option is dict:
        return "mapping"
    if origin in (list, tuple, set, frozenset):
        inner = [arg for arg in args if arg is not Ellipsis]
        return f"list of {_type(inner[0])}" if inner else "list"
    if isinstance(option, type) and issubclass(option, Enum):
        return " or ".join(repr(member.value) for member in option)
    return _WORDS.get(option) or str(getattr(option, "__name__", option))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "(required)"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined or value is None:
        return ""
    listed = list(value) if isinstance(value, tuple) else value
    inside = listed if isinstance(listed, list) else [listed]
    return "" if any(isinstance(one, BaseModel) for one in inside) else str(listed)
