"""The candidate's process: it holds the program and answers questions about its objects.

In: the program's text, then questions. Out: answers. It never sees the tests.
Shown by: `python -m pytest tests/synth/score/test_tests.py`.
Limit: the program can say anything here; the examiner takes values from it, nothing else.
"""

from __future__ import annotations

import io
import operator
import os
import sys
import types
from importlib import import_module
from typing import Any

from .link import Link
from .values import Remote

NAME = "solution"
_OPERATORS: dict[str, Any] = {
    "len": len,
    "iter": iter,
    "next": next,
    "str": str,
    "repr": repr,
    "bool": bool,
    "hash": hash,
    "isinstance": isinstance,
    "await": lambda coroutine: import_module("asyncio").run(coroutine),
    "enter": lambda manager: type(manager).__enter__(manager),
    "exit": lambda manager, *error: type(manager).__exit__(manager, *(error or [None] * 3)),
}


class Candidate(Link):
    """Answers the examiner."""

    out = io.StringIO()

    def remote(self, kind: str, number: int) -> Any:
        return self.remotes.setdefault(number, Borrowed(self, number))

    def function(self, module: str, name: str) -> Any:
        return getattr(import_module(module), name)

    def do(self, do: str, number: int, arguments: Any, named: Any) -> Any:
        if do == "load":
            return load(self, arguments[0])
        target = self.objects[number]
        if do == "call":
            return target(*arguments, **named)
        if do == "get":
            return getattr(target, arguments[0])
        if do == "set":
            return setattr(target, arguments[0], arguments[1])
        return (_OPERATORS.get(do) or getattr(operator, do))(target, *arguments)

    def told(self) -> dict[str, Any]:
        """What the program printed since."""
        text = self.out.getvalue()
        self.out.seek(0)
        self.out.truncate()
        return {"printed": text} if text else {}


class Borrowed(Remote):
    """A function or object of the tests, as the program holds it."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._ask("call", *arguments, **named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._ask("get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._ask("set", name, value)

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self._ask("next")

    def _ask(self, do: str, *arguments: Any, **named: Any) -> Any:
        link = object.__getattribute__(self, "_link")
        return link.ask(do, object.__getattribute__(self, "_number"), *arguments, **named)


def load(link: Candidate, text: str) -> dict[str, Any]:
    """Run the program's text; every name that it defines, and where imported names are from."""
    import linecache  # for tracebacks; in this process only

    module = types.ModuleType(NAME)
    module.__file__ = f"{NAME}.py"
    sys.modules[NAME] = module
    lines = text.splitlines(keepends=True)
    linecache.cache[module.__file__] = (len(text), None, lines, module.__file__)
    sys.stdout = link.out
    try:
        exec(compile(text, module.__file__, "exec"), module.__dict__)
    except SystemExit:
        pass  # what it defined before is there
    found: dict[str, Any] = {"names": {}, "imported": {}}
    for name, value in list(vars(module).items()):
        if name.startswith("__"):
            continue
        home = getattr(value, "__module__", None)
        if isinstance(value, types.ModuleType):
            found["imported"][name] = [value.__name__, ""]
        elif isinstance(home, str) and home != NAME and hasattr(value, "__name__"):
            found["imported"][name] = [home, value.__name__]
        else:
            found["names"][name] = value
    return found


def serve(source: int, sink: int) -> None:
    """Answer until the examiner is gone."""
    link = Candidate(os.fdopen(source, "rb"), os.fdopen(sink, "wb"))
    while True:
        link.answer(link.receive())
