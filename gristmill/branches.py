"""Which of pydantic's problems to tell: those of the branch that a user meant, under its own keys.

In: the problems of a model. Out: one problem, its path as the user wrote it, the model it is in.
Shown by: `gristmill plan` of a stage with `data: {rows: chats, batchsize: 8}`.
Limit: of branches that take the same shape the first one speaks.

Of a field that takes text or a mapping, pydantic tells the problems of both, under names of types:
`data.str`, `data.Rows.batchsize`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from gristmill.errors import keys_of

_SHAPES = {
    "a mapping": ("dict", "Mapping"),
    "a list": ("list", "tuple", "set", "frozenset", "Sequence"),
    "text": ("str", "literal", "constrained-str"),
    "a number": ("int", "float", "constrained-int", "constrained-float"),
    "yes or no": ("bool",),
}


def first_problem(
    found: Sequence[ErrorDetails], cls: type[BaseModel]
) -> tuple[dict[str, Any], list[str], type[BaseModel]]:
    """A problem, the keys down to it, and the model whose key is the last of them."""
    model: type[BaseModel] = cls
    here: Any = cls
    problems: list[dict[str, Any]] = [dict(problem) for problem in found]
    path: list[str] = []
    depth = 0
    while True:
        branches = options(here)
        if len(branches) > 1:
            problems, here = _meant(problems, branches, depth)
        elif branches and is_model(branches[0]) and depth < len(problems[0]["loc"]):
            model = branches[0]
        place = problems[0]["loc"][depth : depth + 1]
        if not place:
            return problems[0], path, model
        depth += 1
        if len(branches) > 1:
            continue  # the name of the branch is no key
        problems = [p for p in problems if p["loc"][:depth] == problems[0]["loc"][:depth]]
        path.append(str(place[0]))
        here = _inside(branches[0] if branches else Any, place[0])


def _meant(
    problems: list[dict[str, Any]], known: list[Any], depth: int
) -> tuple[list[dict[str, Any]], Any]:
    """The problems of the branch whose shape was given; of none, one that tells all branches."""
    tagged = [p for p in problems if len(p["loc"]) > depth]
    if not tagged:
        return problems, Any
    tags = {str(p["loc"][depth]): _branch(str(p["loc"][depth]), known) for p in tagged}
    value = tagged[0]["input"] if len(tagged[0]["loc"]) == depth + 1 else None
    deeper = [tag for p in tagged if len(p["loc"]) > depth + 1 for tag in [str(p["loc"][depth])]]
    fits = [tag for tag, branch in tags.items() if _shape(branch, tag) == _given(value)]
    for tag in [*deeper, *fits]:
        return [p for p in tagged if str(p["loc"][depth]) == tag], tags[tag]
    shapes = list(dict.fromkeys(_told(tags[tag], tag) for tag in tags))
    whole = {**tagged[0], "msg": f"it takes {' or '.join(shapes)}", "type": "union"}
    return [{**whole, "loc": tagged[0]["loc"][: depth + 1]}], Any


def _branch(tag: str, known: list[Any]) -> Any:
    """The option that pydantic names so."""
    for option in known:
        if is_model(option) and option.__name__ in tag.replace("[", " ").replace("]", " ").split():
            return option
    for option in known:
        origin = get_origin(option) or option
        if tag.partition("[")[0] == getattr(origin, "__name__", "").lower():
            return option
    return Any


def _shape(branch: Any, tag: str) -> str:
    if is_model(branch):
        return "a mapping"
    kind = tag.partition("[")[0]
    return next((shape for shape, names in _SHAPES.items() if kind in names), "")


def _told(branch: Any, tag: str) -> str:
    """A branch in words."""
    if is_model(branch):
        keys = keys_of(branch)
        return f"a mapping of {', '.join(keys[:8])}{', …' if len(keys) > 8 else ''}"
    return _shape(branch, tag) or tag


def _given(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return "yes or no"
    return "text" if isinstance(value, str) else "a number" if value is not None else "nothing"


def options(annotation: Any) -> list[Any]:
    """What a field takes, None apart."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return options(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [o for arg in get_args(annotation) for o in options(arg) if o is not type(None)]
    return [annotation]


def _inside(annotation: Any, key: str | int) -> Any:
    """What stands under a key of a model or of a collection."""
    if is_model(annotation):
        for name, field in annotation.model_fields.items():
            if key in (name, field.alias):
                return field.annotation
        return Any
    inner = [arg for arg in get_args(annotation) if arg is not Ellipsis]
    origin = get_origin(annotation)
    if not inner or origin is None:
        return Any
    if origin is tuple and isinstance(key, int) and len(inner) > key:
        return inner[key]
    return inner[-1]


def is_model(annotation: Any) -> bool:
    """Whether it is a class of pydantic."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
