"""Sums: a worked line for each, and now and then a slip.

In: two numbers below 100. Out: a question, a worked answer in \\boxed{}. Shown by:
`python -c "from tests.synth.tiny.sums import worked; print(worked(17, 25))"`.
Limit: two summands.
"""

from __future__ import annotations

from random import Random

from synth.procedural.sums import PLAIN, TOLD

SLIPS = 0.12  # share of worked answers with a wrong digit, so that sampling differs


def question(rng: Random, a: int, b: int) -> str:
    """A sum as the procedural source `sums` words it."""
    return rng.choice((*PLAIN, *TOLD["+"])).format(f"{a} + {b}", a=a, b=b)


def worked(a: int, b: int, slip: int = 0) -> str:
    """Ones, then tens, then the box; `slip` is added to the ones, the rest goes on from there."""
    return f"{steps(a, b, slip)}\n{boxed(a, b, slip)}"


def steps(a: int, b: int, slip: int = 0) -> str:
    """A line for ones and, of larger numbers, one for tens."""
    ones = a % 10 + b % 10 + slip
    if max(a, b) < 10:
        return f"Ones: {a} + {b} = {ones}."
    carry = ones // 10
    tens = a // 10 + b // 10 + carry
    told = f"{a // 10} + {b // 10}{' + 1' if carry else ''} = {tens}"
    return f"Ones: {a % 10} + {b % 10} = {ones}.\nTens: {told}."


def boxed(a: int, b: int, slip: int = 0) -> str:
    """The result."""
    return f"\\boxed{{{a + b + slip}}}"


def numbers(rng: Random) -> tuple[int, int]:
    """Two numbers of one digit, and now and then of two."""
    most = 10 if rng.random() < 0.8 else 100
    return rng.randrange(most), rng.randrange(most)


def slip(rng: Random, a: int, b: int) -> int:
    """0, or in SLIPS of the cases what a careless pupil is wrong by."""
    if rng.random() >= SLIPS:
        return 0
    return 1 if a % 10 + b % 10 == 0 else rng.choice([-1, 1])
