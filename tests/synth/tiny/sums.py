"""Sums: a worked line for each, and now and then a slip.

In: two numbers below 100. Out: a question, a worked answer in \\boxed{}. Shown by:
`python -c "from tests.synth.tiny.sums import worked; print(worked(17, 25))"`.
Limit: two summands.
"""

from __future__ import annotations

from random import Random

SLIPS = 0.15  # share of worked answers with a wrong digit, so that sampling differs


def question(a: int, b: int) -> str:
    """The question as procedural sources ask it."""
    return f"What is {a} + {b}?"


def worked(a: int, b: int, slip: int = 0) -> str:
    """Ones, then tens; `slip` is added to the ones, and what follows goes on from there."""
    ones = a % 10 + b % 10 + slip
    lines = f"Ones: {a % 10} + {b % 10} = {ones}."
    carry = ones // 10
    tens = a // 10 + b // 10 + carry
    lines += f" Tens: {a // 10} + {b // 10}{' + 1' if carry else ''} = {tens}."
    return f"{lines}\nThe answer is \\boxed{{{tens * 10 + ones % 10 if tens else ones % 10}}}."


def numbers(rng: Random) -> tuple[int, int]:
    """Two numbers of one or two digits."""
    return rng.randrange(100) if rng.random() < 0.8 else rng.randrange(10), rng.randrange(100)


def attempt(rng: Random, a: int, b: int) -> str:
    """A worked answer, wrong in SLIPS of the cases."""
    if rng.random() >= SLIPS:
        return worked(a, b)
    ones = a % 10 + b % 10
    return worked(a, b, 1 if ones == 0 else rng.choice([-1, 1]))
