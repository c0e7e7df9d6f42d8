"""What the recipes about code ask for: problems, solutions, tests, repairs, documentation.

In: a random generator. Out: lessons by prompt file of synth/prompts.
Shown by: `python -m tests.synth.tiny.tasks code_solve`. Limit: the functions are those of
functions.py; other code is documented by its first line only.
"""

from __future__ import annotations

import bisect
import heapq
import inspect
import re
from functools import lru_cache
from random import Random

from tests.synth.tiny.functions import FUNCTIONS, Function
from tests.synth.tiny.lessons import Lesson, Message, Task
from tests.synth.tiny.passages import Passages
from tests.synth.tiny.writing import rendered

_DEF = re.compile(r"^def (\w+\([^)\n]*\)):\n(?:[ ].*\n|\n){2,}", re.MULTILINE)


@lru_cache(maxsize=1)
def snippets() -> tuple[tuple[str, str], ...]:
    """Real functions of the standard library: how they are called, and their first lines."""
    source = "\n".join(inspect.getsource(module) for module in (bisect, heapq))
    found = _DEF.finditer(source)
    return tuple((match[1], "\n".join(match[0].split("\n")[:8])) for match in found)


def snippet(rng: Random) -> tuple[str, str, Function | None]:
    """Code to look at: one of ours, or a real one."""
    if rng.random() < 0.5:
        function = rng.choice(FUNCTIONS)
        return function.call, unfenced(function.code()), function
    call, code = rng.choice(snippets())
    return call, code, None


def unfenced(block: str) -> str:
    """Code without its fence."""
    return block.removeprefix("```python\n").removesuffix("\n```")


def code_problem(rng: Random, passages: Passages) -> Lesson:
    """Some problem."""
    _, code, _ = snippet(rng)
    return rendered("code_problem", {"text": code}, rng.choice(FUNCTIONS).statement())


def code_solve(rng: Random, passages: Passages) -> Lesson:
    """A first attempt."""
    function = rng.choice(FUNCTIONS)
    return rendered("code_solve", {"problem": function.statement()}, function.attempt(rng))


def code_tests(rng: Random, passages: Passages) -> Lesson:
    """Tests that hold."""
    function = rng.choice(FUNCTIONS)
    return rendered("code_tests", {"problem": function.statement()}, function.test_code())


def code_repair(rng: Random, passages: Passages) -> Lesson:
    """The right code after a failure."""
    function = rng.choice(FUNCTIONS)
    solve = rendered("code_solve", {"problem": function.statement()}, "")
    wrong: Message = {"role": "assistant", "content": function.code(right=False)}
    return rendered(
        "code_repair",
        {"feedback": function.failure(rng)},
        function.code(),
        (*solve.messages, wrong),
    )


def documentation(call: str, function: Function | None) -> str:
    """A sentence on a function."""
    return f"`{call}` {function.does if function else 'returns a value'}."


def code_document(rng: Random, passages: Passages) -> Lesson:
    """What a function does."""
    call, code, function = snippet(rng)
    return rendered("code_document", {"text": code}, documentation(call, function))


def code_from_document(rng: Random, passages: Passages) -> Lesson:
    """Code that a sentence describes."""
    call, _, function = snippet(rng)
    code = function.code() if function else f"```python\ndef {call}:\n    return None\n```"
    fields: dict[str, object] = {"documentation": documentation(call, function)}
    return rendered("code_from_document", fields, code)


PROGRAMS: dict[str, Task] = {
    "code_problem": code_problem,
    "code_solve": code_solve,
    "code_tests": code_tests,
    "code_repair": code_repair,
    "code_document": code_document,
    "code_from_document": code_from_document,
}
