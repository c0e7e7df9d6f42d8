"""Letters chosen, and equal texts."""

from __future__ import annotations

import pytest

from synth.verify.choice import letter, verify_choice, verify_exact


@pytest.mark.parametrize(
    "text, found",
    [
        ("B", "B"),
        ("(B)", "B"),
        ("[B]", "B"),
        ("B.", "B"),
        ("B. Paris", "B"),
        ("B) Paris", "B"),
        ("**B**", "B"),
        ("The answer is B", "B"),
        ("The answer is (b).", "B"),
        ("Answer: **B**", "B"),
        ("Answer: (C) because of A", "C"),
        (r"\boxed{\text{B}}", "B"),
        (r"It must be \boxed{B}.", "B"),
        ("A is wrong, C is wrong.\nSo I choose D.", "D"),
        ("A dog is here", None),
        ("I think so", None),
        ("Paris", None),
        ("", None),
        ("The answer is Paris", None),
    ],
)
def test_letters(text: str, found: str | None) -> None:
    assert letter(text) == found


def test_choice() -> None:
    assert verify_choice("(B) Paris", "B") == 1
    assert verify_choice("The answer is b.", "(b)") == 1
    assert verify_choice("B", "B. Paris") == 1
    assert verify_choice("A", "B") == 0
    assert verify_choice("", "") == 0


@pytest.mark.parametrize(
    "completion, answer, right",
    [
        ("Paris", "paris.", 1),
        ("The Eiffel Tower", "Eiffel tower", 1),
        ("It is old.\nThe answer is Paris.", "Paris", 1),
        ("Paris or Rome", "Paris", 0),
        ("", "Paris", 0),
        ("", "", 0),
        ("ﬁne", "fine", 1),
    ],
)
def test_exact(completion: str, answer: str, right: int) -> None:
    assert verify_exact(completion, answer) == right
