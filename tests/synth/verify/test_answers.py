"""Final answers in completions, and plain numbers."""

from __future__ import annotations

from fractions import Fraction

import pytest

from synth.verify.answers import boxed, marked, plain_number, tidy


@pytest.mark.parametrize(
    "text, value",
    [
        ("42", 42),
        ("-42", -42),
        ("−42", -42),
        ("+7", 7),
        ("007", 7),
        ("1,000", 1000),
        ("1,234,567.5", Fraction(2469135, 2)),
        ("1{,}000", 1000),
        ("3.50", Fraction(7, 2)),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("1e3", 1000),
        ("2.5E-1", Fraction(1, 4)),
        ("1/2", Fraction(1, 2)),
        ("-3 / 4", Fraction(-3, 4)),
        ("1 1/2", Fraction(3, 2)),
        (r"\frac{1}{2}", Fraction(1, 2)),
        (r"\dfrac{-1}{2}", Fraction(-1, 2)),
        (r"-\frac12", Fraction(-1, 2)),
        (r"1\frac{1}{2}", Fraction(3, 2)),
        (r"$\frac{10}{4}$", Fraction(5, 2)),
        (r"\(12\)", 12),
        ("$12$.", 12),
        ("**12**", 12),
    ],
)
def test_plain_numbers(text: str, value: Fraction) -> None:
    found = plain_number(text)
    assert found is not None and found[0] == value


NUMBERS_OF_NO_KIND = [
    *("", " ", "x", "12 apples", "50%", "1/0", r"\frac{1}{0}", "1,00", "1.2.3", "12:30", "1e9999"),
    *("--5", "2^3", r"\sqrt{4}", "9" * 61, "1 2", "$", "(1,2)"),
]


@pytest.mark.parametrize("text", NUMBERS_OF_NO_KIND)
def test_what_is_no_plain_number(text: str) -> None:
    assert plain_number(text) is None


@pytest.mark.parametrize(
    "text, answer",
    [
        (r"so \boxed{42} is it", "42"),
        (r"\boxed{41}, or rather \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed {a{b}c}", "a{b}c"),
        (r"\fbox{7}", "7"),
        (r"\boxed{4", None),
        (r"\boxed{41} and then \boxed{42", "41"),
        ("", None),
    ],
)
def test_boxes(text: str, answer: str | None) -> None:
    assert boxed(text) == answer


@pytest.mark.parametrize(
    "text, answer",
    [
        ("It is 3.\n#### 42", "42"),
        ("The answer is 42.", "42"),
        ("The answer is: $42$", "42"),
        ("Final answer: **42**\nThank you", "42"),
        ("Answer: 41\n\nAnswer: 42", "42"),
        ("**Answer:** 42", "42"),
        ("The answer is 41. But wait, \\boxed{42}", "42"),
        ("42", None),
        ("the answer is", None),
    ],
)
def test_markers(text: str, answer: str | None) -> None:
    assert marked(text) == answer


def test_tidy() -> None:
    assert [tidy(t) for t in (" $x$. ", "$$x$$", r"\[x\]", "*x*", "$", "x..")] == [
        "x",
        "x",
        "x",
        "x",
        "$",
        "x.",
    ]
