"""Thoughts, refusals, lead-ins and farewells around what a model was asked for."""

from __future__ import annotations

import pytest

from synth.parse.cleaning import is_refusal
from tests.synth.parse.parsing import parsed


@pytest.mark.parametrize(
    ("text", "said", "thought"),
    [
        ("<think>\nHm.\n</think>\n\nYes.", "Yes.", "Hm."),
        ("Hm.\n</think>\nYes.", "Yes.", "Hm."),  # the chat template opened it
        ("A <think>one</think>B<think>two</think> C", "A B C", "one\n\ntwo"),
        ("<think></think>Yes.", "Yes.", ""),
        ("<think>a <think> b</think>Yes.", "Yes.", "a <think> b"),
    ],
)
def test_thoughts_are_kept_apart(text: str, said: str, thought: str) -> None:
    fields = parsed("text", text)
    assert (fields["response"], fields["thoughts"]) == (said, thought)


@pytest.mark.parametrize("text", ["<think>and so on", "Yes.<think>Or no", "a</think>b<think>c"])
def test_thoughts_without_an_end_are_told(text: str) -> None:
    assert parsed("text", text)[0] == "no_closing_tag"


def test_nothing_after_thoughts_is_empty() -> None:
    assert parsed("text", "<think>Hm.</think>\n ")[0] == "empty"


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m really sorry. I cannot do this.",
        "Sorry, I won't do that.",
        "I cannot provide this.",
        "I can’t assist with that request.",
        "As an AI language model, I have no opinions.",
        "Unfortunately, I'm not able to open links.",
        "I am unable to write about this person.",
        "I apologize, but this is not possible.",
    ],
)
def test_refusals(text: str) -> None:
    assert is_refusal(text)
    assert parsed("text", text)[0] == "refused"
    assert parsed({"text": {"refusals": False}}, text)["response"] == text


@pytest.mark.parametrize(
    "text",
    [
        "I can't believe that it has been ten years.",
        "I'm sorry to hear that. Have you called your doctor?",
        "I won't forget the day we met.",
        "Sorry is a hard word to say.",
        "I cannot help with that, " + "but here is what I know of it, " * 10,
    ],
)
def test_what_only_begins_like_a_refusal(text: str) -> None:
    assert not is_refusal(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Here is the rewritten passage:\n\nRain fell.", "Rain fell."),
        ("Here's a paraphrase of the text: Rain fell.", "Rain fell."),
        ("Sure! Here’s a simpler version:\nRain fell.", "Rain fell."),
        ("Certainly.\n\nRain fell.", "Rain fell."),
        ("**Here is the summary:**\n\nRain fell.", "Rain fell."),
        ("Below is a table:\n| a | b |", "| a | b |"),
        ("Here is the table:\n```markdown\n| a |\n```", "| a |"),
        ("```\na\n```\nand\n```\nb\n```", "```\na\n```\nand\n```\nb\n```"),
        ("<passage>\nRain fell.\n</passage>", "Rain fell."),
        ("Rain fell.\n\nLet me know if you want more!", "Rain fell."),
        ("Rain fell.\nI hope this helps.", "Rain fell."),
        # Texts that only look so:
        ("Here is the thing: rain fell.", "Here is the thing: rain fell."),
        ("Sure enough, rain fell.", "Sure enough, rain fell."),
        ("“Here,” he said.\n“There.”", "“Here,” he said.\n“There.”"),
        ("<b>Rain</b> fell.", "<b>Rain</b> fell."),
    ],
)
def test_lead_ins_and_farewells_are_cut(text: str, left: str) -> None:
    fields = parsed("text", text)
    assert fields["response"].strip("*\n ") == left
    assert parsed({"text": {"lead_ins": False}}, text)["response"] == text


def test_short_texts_are_empty() -> None:
    assert parsed({"text": {"min_words": 3}}, "Too short.") == ("empty", "2 words, 3 wanted")


def test_a_field_that_is_not_there_is_missing() -> None:
    assert parsed({"text": {"of": "answer"}}, "Yes.")[0] == "missing"
    assert parsed({"text": {"of": "answer"}}, "Yes.", answer=["no", "text"])[0] == "missing"
