"""Questions and answers in the shapes that models write them."""

from __future__ import annotations

import pytest

from synth.parse.pairs import pairs_text, read_pairs
from tests.synth.parse.parsing import parsed

TWO = [
    {"question": "What is it?", "answer": "A mill."},
    {"question": "Where is it?", "answer": "By the river."},
]


@pytest.mark.parametrize(
    "text",
    [
        pairs_text(TWO),
        "Q: What is it?\nA: A mill.\nQ: Where is it?\nA: By the river.",
        "Q1: What is it?\nA1: A mill.\n\nQ2: Where is it?\nA2: By the river.",
        "Q1. What is it?\nA1: A mill.\n\nQ2. Where is it?\nA2: By the river.",
        "Q1) What is it?\nA1) A mill.\n\nQ2) Where is it?\nA2) By the river.",
        "**Q: What is it?**\n**A: A mill.**\n\n**Q: Where is it?**\n**A: By the river.**",
        "**Question 1:** What is it?\n**Answer 1:** A mill.\n\n"
        "**Question 2:** Where is it?\n**Answer 2:** By the river.",
        "**Q:** What is it?\n**A:** A mill.\n**Q:** Where is it?\n**A:** By the river.",
        "1. Question: What is it?\n   Answer: A mill.\n"
        "2. Question: Where is it?\n   Answer: By the river.",
        "- Question: What is it? Answer: A mill.\n- Question: Where is it? Answer: By the river.",
        "Q: What is it? A: A mill.\nQ: Where is it? A: By the river.",
        "### Question 1\nWhat is it?\n\n### Answer\nA mill.\n\n"
        "### Question 2\nWhere is it?\n\n### Answer\nBy the river.",
        "Here are the pairs.\n\nQUESTION: What is it?\nANSWER: A mill.\n"
        "QUESTION: Where is it?\nANSWER: By the river.",
        '[{"question": "What is it?", "answer": "A mill."},'
        ' {"question": "Where is it?", "answer": "By the river."}]',
        '{"pairs": [{"question": "What is it?", "answer": "A mill."},'
        ' {"question": "Where is it?", "answer": "By the river."}]}',
        "1. What is it?\nA mill.\n\n2. Where is it?\nBy the river.",
        "**What is it?**\n\nA mill.\n\n**Where is it?**\n\nBy the river.",
    ],
)
def test_shapes(text: str) -> None:
    assert read_pairs(text) == TWO


def test_options_and_long_answers_belong_to_their_part() -> None:
    text = (
        "Question: Which is a mill?\nA) the first\nB) the second\nAnswer: A)\n\n"
        "Because it grinds.\n\nQuestion: And then?\nAnswer: Nothing."
    )
    first, second = read_pairs(text)
    assert first["question"] == "Which is a mill?\nA) the first\nB) the second"
    assert first["answer"] == "A)\n\nBecause it grinds."
    assert second["answer"] == "Nothing."


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Nothing is asked here.",
        "Question: What?",
        "Answer: This.",
        "Question:\nAnswer: This.",
        "A question of taste\nis no label.",
        "Q&A is what it is called.",
    ],
)
def test_what_has_no_pairs(text: str) -> None:
    assert read_pairs(text) == []


def test_a_question_without_an_answer_is_left() -> None:
    assert read_pairs("Q: One?\nQ: Two?\nA: Yes.") == [{"question": "Two?", "answer": "Yes."}]


def test_fields_and_counts() -> None:
    fields = parsed("pairs", pairs_text(TWO))
    assert fields["pairs"] == TWO and fields["pairs_text"] == pairs_text(TWO)
    assert parsed({"pairs": {"max": 1}}, pairs_text(TWO))["pairs"] == TWO[:1]
    assert parsed({"pairs": {"min": 3}}, pairs_text(TWO)) == (
        "unparsable",
        "there are 2 pairs, 3 wanted",
    )


def test_a_random_few_by_the_length_of_the_source() -> None:
    many = [{"question": f"What is {n}?", "answer": f"It is {n}."} for n in range(8)]
    op = {"pairs": {"draw_per_words": 10}}
    assert len(parsed(op, pairs_text(many), text="a short text")["pairs"]) == 1
    drawn = parsed(op, pairs_text(many), text="word " * 1000)["pairs"]
    assert all(pair in many for pair in drawn)
    assert drawn != many[: len(drawn)], "the order is random too"
    assert drawn == parsed(op, pairs_text(many), text="word " * 1000)["pairs"]
