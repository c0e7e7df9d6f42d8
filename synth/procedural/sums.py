"""Sums: worded arithmetic with exact answers, easy enough for a small model to learn.

In: parameters and a row number. Out: a Sample: "What is 17 + 25?" in one of several wordings.
Shown by: `python -m synth.procedural sums`. Limit: whole numbers; division is always exact.
This task is ours.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, field_validator

from gristmill.errors import RecipeError
from synth.procedural.sample import Draws, Parameters, Sample

OPERATORS = "+-*/"
PLAIN = (
    "What is {}?",
    "Compute {}.",
    "Work out {} and give the number.",
    "{} = ?",
    "How much is {}?",
    "Find the value of {}.",
)
TOLD = {
    "+": (
        "Ana has {a} shells and finds {b} more. How many does she have?",
        "A shelf holds {a} books; {b} are added. How many are there now?",
        "What is the sum of {a} and {b}?",
    ),
    "-": (
        "A baker makes {a} rolls and sells {b}. How many are left?",
        "Of {a} seats {b} are taken. How many are free?",
        "By how much is {a} larger than {b}?",
    ),
    "*": (
        "There are {a} boxes with {b} pencils in each. How many pencils are there?",
        "A ticket costs {b} coins. What do {a} tickets cost?",
        "What is the product of {a} and {b}?",
    ),
    "/": (
        "{a} apples are shared equally among {b} children. How many does each get?",
        "A rope of {a} metres is cut into {b} equal parts. How long is each, in metres?",
        "What is {a} divided by {b}?",
    ),
}


class Sums(Parameters):
    """`sums: {digits: 3, operations: "+-", terms: 3}`."""

    TASK: ClassVar[str] = "sums"
    digits: int = Field(default=2, ge=1, le=12)  # of each number, at most
    operations: str = "+-*"
    terms: int = Field(default=2, ge=2, le=20)
    stories: bool = True  # little stories too, where there are two terms

    @field_validator("operations")
    @classmethod
    def _known(cls, value: str) -> str:
        if not value or set(value) - set(OPERATORS) or len(set(value)) < len(value):
            raise RecipeError(
                f"operations is {value!r}; give each of + - * / at most once, e.g. '+-'"
            )
        return value


def sample(draws: Draws, given: Sums) -> Sample:
    """One question."""
    top = 10**given.digits - 1
    if given.terms > 2:
        expression, value = chain(draws, given, top)
        prompt = draws.choice(PLAIN).format(expression)
    else:
        operator = draws.choice(given.operations)
        a, b, value = pair(draws, operator, top)
        wordings: tuple[str, ...] = (*PLAIN, *TOLD[operator]) if given.stories else PLAIN
        prompt = draws.choice(wordings).format(f"{a} {operator} {b}", a=a, b=b)
    text = f"{prompt} {value}"
    return Sample(prompt, str(value), text, ((len(prompt) + 1, len(text)),), "number")


def pair(draws: Draws, operator: str, top: int) -> tuple[int, int, int]:
    """Two numbers and what they come to, never below zero."""
    a, b = draws.between(0, top), draws.between(0, top)
    if operator == "-":
        a, b = max(a, b), min(a, b)
        return a, b, a - b
    if operator == "/":
        b = max(1, b)
        quotient = draws.between(0, top // b)
        return quotient * b, b, quotient
    return (a, b, a + b) if operator == "+" else (a, b, a * b)


def chain(draws: Draws, given: Sums, top: int) -> tuple[str, int]:
    """Several terms, with brackets around all that comes before one: no rule of order counts."""
    value = draws.between(0, top)
    expression = str(value)
    for place in range(given.terms - 1):
        operator = draws.choice(given.operations)
        term = draws.between(0, top)
        if operator == "/":
            term = draws.choice([d for d in range(1, min(top, 99) + 1) if value % d == 0])
        if place:
            expression = f"({expression})"
        expression += f" {operator} {term}"
        value = {"+": value + term, "-": value - term, "*": value * term}.get(
            operator, value // (term or 1)
        )
    return expression, value


def generate(seed: int, number: int = 0, **parameters: Any) -> Sample:
    """The sample of a row number."""
    return sample(Draws(seed, "sums", number), Sums(**parameters))
