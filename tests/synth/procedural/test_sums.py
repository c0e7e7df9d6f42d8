"""Sums: answers by Python's own arithmetic, stories by their numbers."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest

from gristmill.errors import RecipeError
from synth.procedural import sums
from synth.verify.maths import verify_number


def test_expressions_equal_pythons() -> None:
    for number in range(400):
        one = sums.generate(1, number, operations="+-*/", terms=2 + number % 4, stories=False)
        (expression,) = re.findall(r"\(*\d[\d() +*/-]*\d\)*|\d", one.prompt)[:1]
        exact = eval(re.sub(r"\d+", lambda m: f"Fraction({m[0]})", expression))
        assert exact == Fraction(one.answer)
        assert one.text == f"{one.prompt} {one.answer}"


def test_stories_use_their_two_numbers() -> None:
    apply = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__, "/": int.__floordiv__}
    for operator, function in apply.items():
        for number in range(60):
            one = sums.generate(2, number, operations=operator)
            a, b = map(int, re.findall(r"\d+", one.prompt))
            if "ticket" in one.prompt:
                a, b = b, a
            assert str(function(a, b)) == one.answer and int(one.answer) >= 0


def test_digits_bound_the_numbers() -> None:
    for digits in (1, 3):
        seen = [
            int(n)
            for i in range(300)
            for n in re.findall(r"\d+", sums.generate(3, i, digits=digits).prompt)
        ]
        assert max(seen) == 10**digits - 1 or (digits == 3 and 900 < max(seen) < 1000)


def test_its_verifier_takes_answers_in_prose() -> None:
    one = sums.generate(5, 0)
    for right in (one.answer, f"The answer is {one.answer}.", f"so we get \\boxed{{{one.answer}}}"):
        assert verify_number(right, one.answer, one.prompt) == 1
    assert verify_number(f"{int(one.answer) + 1}", one.answer, one.prompt) == 0


def test_unknown_operations_are_refused() -> None:
    with pytest.raises(RecipeError, match="at most once"):
        sums.Sums(operations="+^")
