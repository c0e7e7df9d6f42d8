"""Registers of what recipes name: imported when first named, ours first, then installed packages'.

In: a name. Out: its class. Shown by: `curation/ops.py`, `synth/ops.py`.
Limit: two packages of one name: the first that the interpreter finds wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gristmill.errors import RecipeError, explain, nearest

C = TypeVar("C", bound=type[Any])
M = TypeVar("M", bound=BaseModel)


class Registry:
    """Classes by name. `home`: name -> module; `group`: entry points of third parties."""

    def __init__(self, key: str, home: Mapping[str, str], group: str, noun: str = "op") -> None:
        self._key = key  # of a recipe, as errors name it: `ops`, `do`
        self._noun = noun
        self._home = home
        self._group = group
        self.known: dict[str, type[Any]] = {}

    def register(self, name: str) -> Callable[[C], C]:
        """Class decorator: make a class known, and tell it its NAME."""

        def add(cls: C) -> C:
            cls.NAME = name
            self.known[name] = cls
            return cls

        return add

    def names(self) -> list[str]:
        """Ours, those registered, and those that installed packages bring."""
        theirs = (point.name for point in entry_points(group=self._group))
        return sorted({*self.known, *self._home, *theirs})

    def find(self, name: str) -> type[Any]:
        """The class of a name; RecipeError with the nearest name otherwise."""
        if name not in self.known and name in self._home:
            import_module(self._home[name])
        if name not in self.known:
            for point in entry_points(group=self._group, name=name):
                self.register(name)(point.load())
        if name not in self.known:
            known = nearest(name, self.names())
            raise RecipeError(f"{self._key} has an unknown {self._noun} {name!r}{known}")
        return self.known[name]


def named(entry: Any, rule: str) -> tuple[str, Any]:
    """`NAME` or `{NAME: options}` as (name, options or None); RecipeError that says `rule`."""
    if isinstance(entry, str):
        return entry, None
    if not isinstance(entry, dict) or len(entry) != 1:
        raise RecipeError(rule)
    ((name, options),) = entry.items()
    return str(name), options


def made(cls: type[M], name: str, options: Any, from_scalar: Callable[[Any], M]) -> M:
    """An op from its options: none, a mapping of fields, or the one value of a shorthand."""
    try:
        if options is None:
            return cls()
        if isinstance(options, dict):
            return cls.model_validate(options)
        return from_scalar(options)
    except ValidationError as error:
        raise RecipeError(f"op {name!r}: {explain(error, cls)}") from None
    except RecipeError as error:
        raise RecipeError(f"op {name!r}: {error}") from None
