"""The examiner: it runs the tests, in a process of its own that the program cannot reach.

In (stdin): JSON with `program` and `tests`. Out (stdout): one line of JSON for each test.
Shown by: `python -m pytest tests/synth/score/test_tests.py`.
Limit: tests that patch modules, or read the program's stdout as a file, patch and read their own.

The program's process is forked off before the tests are read; it has neither stdin nor stdout of
ours, and there is no /proc, no ptrace and no way to open another process's files.
"""

from __future__ import annotations

import builtins
import importlib
import io
import json
import os
import signal
import sys
import types
from typing import Any, TextIO

from . import candidate
from .link import Link
from .remote import Examined, ask
from .values import Broken

TAIL = 2000
ROOM = 200_000
ALIASES = {"np": "numpy"}
# Modules that tests use by a name which the program imported: here it is the real one.
REAL = {
    *("math", "cmath", "re", "itertools", "functools", "collections", "random", "string", "json"),
    *("datetime", "copy", "typing", "decimal", "fractions", "statistics", "heapq", "bisect"),
    *("numpy", "operator", "time", "dataclasses", "enum", "io", "contextlib", "asyncio"),
}


class Examiner(Link):
    """Asks the candidate."""

    def __init__(self, source: Any, sink: Any, pid: int) -> None:
        super().__init__(source, sink)
        self.pid = pid
        self.mirrored: dict[str, Any] = {}  # the program's exception classes

    def remote(self, kind: str, number: int) -> Any:
        if number not in self.remotes:
            self.remotes[number] = Examined(self, number)
        if kind == "coroutine":
            return _awaited(self.remotes[number])
        return self.remotes[number]

    def function(self, module: str, name: str) -> Any:
        if module.removeprefix("_") not in REAL:
            return super().function(module, name)
        return getattr(importlib.import_module(module), name)

    def do(self, do: str, number: int, arguments: Any, named: Any) -> Any:
        """The program may call our functions, walk our iterators, use public attributes."""
        target = self.objects[number]
        ours = getattr(type(target), "__module__", "") == "tests"
        if do == "call" and callable(target):
            return target(*arguments, **named)
        if do == "next" and hasattr(target, "__next__"):
            return next(target)
        if do == "get" and ours and not arguments[0].startswith("_"):
            return getattr(target, arguments[0])
        if do == "set" and ours and not arguments[0].startswith("_"):
            return setattr(target, arguments[0], arguments[1])
        raise TypeError(f"a program may not {do} a {type(target).__name__} of the tests")

    def ending(self) -> str:
        """What became of the candidate's process when it no longer answers."""
        self.sink.close()
        _, state = os.waitpid(self.pid, 0)
        if not os.WIFSIGNALED(state):
            return f"the program ended itself with exit code {os.WEXITSTATUS(state)}"
        if os.WTERMSIG(state) == signal.SIGXCPU:
            return "the program used up its CPU time"
        return f"the program died of {signal.Signals(os.WTERMSIG(state)).name}"

    def heard(self, message: Any) -> None:
        if isinstance(message.get("printed"), str):
            sys.stdout.write(message["printed"])

    def exception(self, classes: Any) -> Any:
        """A built-in class, or one of our own for a class of the program, with the same bases."""
        module, name = classes[0]
        if module == "builtins":
            return super().exception(classes)
        if module in REAL and isinstance(getattr(sys.modules.get(module), name, None), type):
            return getattr(sys.modules[module], name)
        if f"{module}.{name}" not in self.mirrored:
            base = self.exception(classes[1:])
            words = {"__str__": lambda self: self.__dict__.get("words", base.__str__(self))}
            self.mirrored[f"{module}.{name}"] = type(str(name), (base,), words)
        return self.mirrored[f"{module}.{name}"]

    def error(self, parts: Any) -> BaseException:
        try:
            found = super().error(parts)
            found.__dict__["words"], found.__dict__["trace"] = str(parts[2]), str(parts[4])
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise Broken(f"not an exception: {error}") from error
        return found


def _awaited(coroutine: Examined) -> Any:
    async def wait() -> Any:
        return ask(coroutine, "await")

    return wait()


def names_for_tests(found: Any, used: set[str]) -> dict[str, Any]:
    """What of the program's names the tests get: no module or built-in function is the program's.

    A program may be asked for a function called `sum`: where the tests use no other of its names,
    they get that one.
    """
    given = dict(found["names"])
    hidden = {name for name in given if hasattr(builtins, name)}
    if not used & (set(given) - hidden):
        hidden = set()
    given = {name: value for name, value in given.items() if name not in hidden}
    for name, (module, inner) in found["imported"].items():
        home = str(module).removeprefix("_").partition(".")[0]
        if home in REAL and inner == name and name in used and not hasattr(builtins, name):
            real = getattr(importlib.import_module(home), name, None)
            given.update({name: real} if real is not None else {})
    for name in used & {*REAL, *ALIASES}:
        if name in found["imported"] or name in given:
            given[name] = importlib.import_module(ALIASES.get(name, name))
    return given


def examine(link: Examiner, program: str, tests: str, out: TextIO) -> None:
    """Load the program, then run one test after another and tell of each as it ends."""
    from .units import failure, in_program, units, used_names

    def tell(**line: Any) -> None:
        out.write(json.dumps(line) + "\n")
        out.flush()

    del sys.path[0]  # our own folder: from here on the program can write there
    found = units(tests)
    tell(total=sum(unit.counts for unit in found))
    try:
        given = names_for_tests(link.ask("load", 0, program), used_names(tests))
    except BaseException as error:
        return tell(load=link.ending() if isinstance(error, Broken) else in_program(error))
    space = types.ModuleType("tests")
    for name in ("solution", "main"):
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(given)
    sys.modules["tests"] = space
    vars(space).update(given)
    shown = max(20, min(500, ROOM // max(1, len(found))))  # all lines fit the limit of output
    told = False  # the first failure in full, of others that they are
    for unit in found:
        tell(begin=unit.code[:shown])
        try:
            unit.run(vars(space))
        except BaseException as error:
            dead = isinstance(error, Broken)
            text = link.ending() if dead else "" if told else failure(error, unit, vars(space))
            tell(failed="" if told else unit.code[:500], counts=unit.counts, error=text)
            told = True
            if dead:
                break
        else:
            tell(passed=unit.counts)
    tell(printed=sys.stdout.getvalue()[-TAIL:] if isinstance(sys.stdout, io.StringIO) else "")
    return None


def main() -> None:
    """Fork the candidate off, then read what is to be examined."""
    questions, answers = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(questions[0], 10)
        os.dup2(answers[1], 11)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        os.closerange(3, 10)
        os.closerange(12, 1 << 12)
        try:
            candidate.serve(10, 11)
        finally:
            os._exit(0)
    os.close(questions[0])
    os.close(answers[1])
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = io.StringIO()
    given = json.load(sys.stdin)
    link = Examiner(os.fdopen(answers[0], "rb"), os.fdopen(questions[1], "wb"), pid)
    examine(link, given["program"], given["tests"], out)
    out.flush()
    os._exit(0)  # whatever the tests left: the verdict is out
