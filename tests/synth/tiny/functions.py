"""Tiny Python functions: a statement, a right and a wrong body, and tests for each.

In: a random generator. Out: Function. Shown by:
`python -c "from tests.synth.tiny.functions import FUNCTIONS; print(FUNCTIONS)"`.
Limit: one expression a function.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

FAILURES = (
    "AssertionError: {test}",
    "{test}: failed",
    'Traceback (most recent call last):\n  File "program.py", line 5\n    {test}\nAssertionError',
    "AssertionError",
)
SLIPS = 0.2  # share of first attempts with the wrong body, where the function is not HARD


@dataclass(frozen=True, slots=True)
class Function:
    """`does` completes "a function that …"; `tests` are what the right body passes."""

    call: str
    does: str
    right: str
    wrong: str
    tests: tuple[str, ...]
    hard: bool = False  # the first attempt is always wrong

    @property
    def name(self) -> str:
        return self.call.partition("(")[0]

    def statement(self) -> str:
        """The task as a problem."""
        return f"Write a Python function `{self.call}` that {self.does}."

    def code(self, right: bool = True) -> str:
        """A fenced block."""
        return f"```python\ndef {self.call}:\n    return {self.right if right else self.wrong}\n```"

    def test_code(self) -> str:
        """A fenced block of its tests."""
        return "```python\n" + "\n".join(self.tests) + "\n```"

    def attempt(self, rng: Random) -> str:
        """A first attempt: wrong where the function is hard, else in SLIPS of the cases."""
        return self.code(not self.hard and rng.random() >= SLIPS)

    def failure(self, rng: Random) -> str:
        """What a run of the wrong body may say."""
        return rng.choice(FAILURES).format(test=rng.choice(self.tests))


def _with_number(k: int) -> list[Function]:
    hard = k in (3, 7)
    return [
        Function(
            f"add_{k}(x)",
            f"returns x plus {k}",
            f"x + {k}",
            f"x - {k}",
            (f"assert add_{k}(0) == {k}", f"assert add_{k}(1) == {1 + k}"),
            hard,
        ),
        Function(
            f"times_{k}(x)",
            f"returns x times {k}",
            f"x * {k}",
            f"x + {k}",
            (f"assert times_{k}(1) == {k}", f"assert times_{k}(0) == 0"),
            hard,
        ),
    ]


FUNCTIONS = (
    *(function for k in range(2, 10) for function in _with_number(k)),
    Function(
        "larger(a, b)",
        "returns the larger of a and b",
        "max(a, b)",
        "min(a, b)",
        ("assert larger(1, 2) == 2", "assert larger(5, 3) == 5"),
    ),
    Function(
        "smaller(a, b)",
        "returns the smaller of a and b",
        "min(a, b)",
        "max(a, b)",
        ("assert smaller(1, 2) == 1", "assert smaller(5, 3) == 3"),
    ),
    Function(
        "turned(s)",
        "returns the text s in reverse order",
        "s[::-1]",
        "s[1:]",
        ('assert turned("abc") == "cba"', 'assert turned("on") == "no"'),
    ),
    Function(
        "count_words(s)",
        "returns how many words the text s has",
        "len(s.split())",
        "len(s)",
        ('assert count_words("a cat") == 2', 'assert count_words("") == 0'),
    ),
    Function(
        "is_even(n)",
        "tells whether n is even",
        "n % 2 == 0",
        "n % 2 == 1",
        ("assert is_even(4)", "assert not is_even(7)"),
    ),
    Function(
        "square(n)",
        "returns n times itself",
        "n * n",
        "n + n",
        ("assert square(3) == 9", "assert square(1) == 1"),
        True,
    ),
    Function(
        "last_item(items)",
        "returns the last item of a list",
        "items[-1]",
        "items[0]",
        ("assert last_item([1, 2]) == 2", "assert last_item([4]) == 4"),
        True,
    ),
    Function(
        "total(items)",
        "returns the sum of a list of numbers",
        "sum(items)",
        "len(items)",
        ("assert total([1, 2]) == 3", "assert total([]) == 0"),
    ),
)
