"""Mano: knowledge manipulation. Prefix expressions over + - * modulo 23, answered in one step.

In: parameters and a row number. Out: a Sample; the loss is taken on the whole text.
Shown by: `python -m synth.procedural mano`. Limit: without division.

Source: Physics of Language Models 4.1 (arXiv 2512.17351): numbers modulo 23, the count of operators
uniform in [1, L], L 10, 13 or 16, no loss mask. How a count splits between the two operands is
uniform, as in the authors' released generator. The tag that tells the count is spelled by us.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from pydantic import Field, field_validator

from gristmill.errors import RecipeError
from synth.procedural.sample import Draws, Parameters, Sample, first_line

KNOWN = "+-*"
BOS, EOS, ANSWER, OPERATORS = 0, 1, 2, 3  # of the bare tokens: then counts 1 … L, then numbers
_PROMPT = re.compile(r"<\d+>((?: (?:[+*-]|\d{1,9}))+) =\s*\Z")
Tree = int | tuple[str, "Tree", "Tree"]


class Mano(Parameters):
    """`mano: {length: 13}`."""

    TASK: ClassVar[str] = "mano"
    length: int = Field(default=10, ge=1, le=200)  # L: the most operators
    modulus: int = Field(default=23, ge=2, le=1_000_000)
    operations: str = KNOWN
    tokens: bool = False  # bare tokens into meta

    @field_validator("operations")
    @classmethod
    def _known(cls, value: str) -> str:
        return known_operations(value)


def known_operations(value: str) -> str:
    """Check a set of operators."""
    if not value or set(value) - set(KNOWN) or len(set(value)) < len(value):
        raise RecipeError(f"operations is {value!r}; give each of + - * at most once, e.g. '+-'")
    return value


def tree(draws: Draws, count: int, modulus: int, operations: str) -> Tree:
    """An expression of `count` operators."""
    if not count:
        return draws.below(modulus)
    operator = draws.choice(operations)
    left = draws.below(count)
    return (
        operator,
        tree(draws, left, modulus, operations),
        tree(draws, count - 1 - left, modulus, operations),
    )


def prefix(expression: Tree, out: list[str]) -> list[str]:
    """Its symbols, operators first, appended to `out`."""
    if isinstance(expression, int):
        out.append(str(expression))
        return out
    out.append(expression[0])
    return prefix(expression[2], prefix(expression[1], out))


def value(expression: Tree, modulus: int) -> int:
    """What it comes to."""
    if isinstance(expression, int):
        return expression % modulus
    return apply(
        expression[0], value(expression[1], modulus), value(expression[2], modulus), modulus
    )


def apply(operator: str, left: int, right: int, modulus: int) -> int:
    """One operator."""
    if operator == "+":
        return (left + right) % modulus
    return (left - right) % modulus if operator == "-" else left * right % modulus


def sample(draws: Draws, given: Mano) -> Sample:
    """One expression."""
    count = draws.between(1, given.length)
    expression = tree(draws, count, given.modulus, given.operations)
    symbols = prefix(expression, [])
    answer = str(value(expression, given.modulus))
    prompt = f"<{count}> {' '.join(symbols)} ="
    text = f"{prompt} {answer}"
    meta: dict[str, Any] = {"length": count}
    if given.tokens:
        numbers = OPERATORS + len(KNOWN) + given.length
        bare = [KNOWN.index(s) + OPERATORS if s in KNOWN else numbers + int(s) for s in symbols]
        count_token = OPERATORS + len(KNOWN) + count - 1
        meta["tokens"] = [BOS, count_token, *bare, ANSWER, numbers + int(answer), EOS]
    return Sample(prompt, answer, text, ((0, len(text)),), "mano", meta)


def generate(seed: int, number: int = 0, **parameters: Any) -> Sample:
    """The sample of a row number."""
    return sample(Draws(seed, "mano", number), Mano(**parameters))


def solve(prompt: str, modulus: int = 23) -> str | None:
    """The answer to a prompt, by a stack from its right end; None where it is no expression."""
    found = _PROMPT.search(prompt)
    if found is None:
        return None
    stack: list[int] = []
    for symbol in reversed(found[1].split()):
        if symbol not in KNOWN:
            stack.append(int(symbol) % modulus)
        elif len(stack) < 2:
            return None
        else:
            left = stack.pop()
            stack.append(apply(symbol, left, stack.pop(), modulus))
    return str(stack[0]) if len(stack) == 1 else None


def verify(completion: str, answer: str, prompt: str = "") -> float:
    """1.0 where the completion's first line is the number; without an answer, modulo 23."""
    right = answer or solve(prompt)
    return float(right is not None and first_line(completion) == right)
