"""Chats, pairs and prompts of other tools become rows of their kind, or are refused by name."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.json as pajson
import pytest

from gristmill.errors import GristmillError
from pipelines.import_forms import Account, converted

ASK = {"role": "user", "content": "2+2?"}
SYSTEM = {"role": "system", "content": "Be brief."}
FOUR, FIVE = ({"role": "assistant", "content": text} for text in ("4", "5"))
SHARED = [{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}]


def parts(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text[:1]}, {"type": "text", "text": text[1:]}]


def brought(kind: str, *rows: dict[str, Any]) -> tuple[list[dict[str, Any]], Account]:
    """The rows after conversion, read as from a file of lines."""
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    account = Account()
    table: pa.Table = pajson.read_json(io.BytesIO(lines))
    return converted(table, kind, "mine.jsonl", account).to_pylist(), account


def said(kind: str, *rows: dict[str, Any]) -> str:
    with pytest.raises(GristmillError) as raised:
        brought(kind, *rows)
    return str(raised.value)


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [ASK, FOUR]},
        {"messages": SHARED},
        {"conversations": SHARED},
        {"conversation": [ASK, FOUR]},
        {"conversations": [{**turn, "weight": None} for turn in SHARED]},
        {"messages": [{**turn, "content": parts(turn["content"])} for turn in (ASK, FOUR)]},
        {"prompt": "2+2?", "completion": "4"},
        {"prompt": [ASK], "completion": [FOUR]},
        {"prompt": "2+2?", "response": "4"},
        {"instruction": "2+2?", "output": "4"},
        {"instruction": "2+2?", "input": "", "output": "4"},
    ],
)
def test_forms_of_a_chat_give_the_same_messages(row: dict[str, Any]) -> None:
    rows, account = brought("chat", {**row, "label": True})
    assert rows == [{"messages": [ASK, FOUR], "label": True}]  # other columns stay
    assert account.rows == 1 and not account.lost


def test_what_was_converted_is_told() -> None:
    about = [
        brought("chat", row)[1].forms
        for row in ({"messages": [ASK, FOUR]}, {"conversations": SHARED}, {"messages": SHARED})
    ]
    assert [next(iter(one)) for one in about] == [
        "", "`conversations` (from, value)", "`messages` (from, value)"
    ]  # fmt: skip


def test_an_input_and_a_system_prompt_are_part_of_the_chat() -> None:
    asked = {"instruction": "Add.", "input": "2+2", "output": "4", "system": "Be brief."}
    whole = [SYSTEM, {"role": "user", "content": "Add.\n\n2+2"}, FOUR]
    assert brought("chat", asked)[0] == [{"messages": whole}]
    shared = {"conversations": SHARED, "system": "Be brief."}
    assert brought("chat", shared)[0] == [{"messages": [SYSTEM, ASK, FOUR]}]
    twice = {"conversations": [{"from": "system", "value": "No."}, *SHARED], "system": "Be brief."}
    assert brought("chat", twice)[0][0]["messages"][0]["content"] == "No."


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"speaker": "Anna", "text": "4"}, "message 2 has 'speaker', 'text'; it needs 'role' and"),
        ({"role": "assistant", "content": None}, "message 2 has 'role'; it needs"),
        ({"role": None, "content": "4"}, "message 2 has 'content'; it needs"),
        ({"from": "alien", "value": "4"}, "message 2 is from 'alien'; known are human"),
        ({"role": "assistant", "content": "", "tool_calls": [{"name": "add"}]}, "'tool_calls'"),
        ({"role": "assistant", "content": [{"type": "image", "text": "x"}]}, "type 'text'"),
    ],
)
def test_a_message_that_is_no_turn_is_refused_with_file_and_row(
    message: dict[str, Any], words: str
) -> None:
    listed = isinstance(message.get("content"), list)
    first = [{**ASK, "content": parts("2+2?")}] if listed else [ASK]
    told = said("chat", {"messages": first}, {"messages": [*first, message]})
    assert told.startswith("mine.jsonl, row 2: ") and words in told


def test_rows_without_messages_are_refused() -> None:
    assert "row 2: it has no messages" in said("chat", {"messages": [ASK]}, {"other": 1})
    assert "row 2: it has no messages" in said("chat", {"messages": [ASK]}, {"messages": []})
    assert "message 1 is '2+2?'" in said("chat", {"messages": ["2+2?", "4"]})
    assert "column 'messages' is string" in said("chat", {"messages": "2+2?"})
    assert "'output' is null" in said("chat", {"instruction": "2+2?", "output": None})
    assert "4 is neither a text" in said("chat", {"instruction": "2+2?", "output": 4})
    assert "2 is neither" in said("chat", {"instruction": "Add.", "input": 2, "output": "4"})


def test_keys_that_a_turn_has_no_place_for_are_counted_by_rows() -> None:
    lines = [{**FOUR, "weight": 0, "name": "Al"}, {**ASK, "weight": 1, "name": ""}]
    _, account = brought("chat", {"messages": lines}, {"messages": lines[1:]}, {"messages": [ASK]})
    assert account.lost == {"weight": 2, "name": 1}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [SYSTEM, ASK], "chosen": [FOUR], "rejected": [FIVE]},
        {"chosen": [SYSTEM, ASK, FOUR], "rejected": [SYSTEM, ASK, FIVE]},
        {"prompt": [SYSTEM, ASK], "chosen": [SYSTEM, ASK, FOUR], "rejected": [SYSTEM, ASK, FIVE]},
        {"prompt": "2+2?", "chosen": [SYSTEM, ASK, FOUR], "rejected": [SYSTEM, ASK, FIVE]},
        {
            "prompt": "2+2?",
            "messages": [SYSTEM, ASK, FOUR],
            "chosen": [SYSTEM, ASK, FOUR],
            "rejected": [SYSTEM, ASK, FIVE],
        },
        {"prompt": [SYSTEM], "chosen": [ASK, FOUR], "rejected": [ASK, FIVE]},
        {"messages": [SYSTEM, ASK], "chosen": "4", "rejected": "5"},
        {"messages": [SYSTEM, ASK], "prompt": None, "chosen": "4", "rejected": "5"},
        {"messages": [SYSTEM, ASK], "chosen": FOUR, "rejected": FIVE},
    ],
)
def test_forms_of_a_pair_give_the_same_pair(row: dict[str, Any]) -> None:
    (pair,), _ = brought("preference", row)
    assert pair == {"messages": [SYSTEM, ASK], "prompt": "2+2?", "chosen": "4", "rejected": "5"}


def test_turns_that_both_answers_share_stand_behind_the_prompt() -> None:
    thought = {"role": "assistant", "content": "Let me see."}
    more = {"role": "tool", "content": "4"}
    row = {"prompt": "2+2?", "chosen": [thought, more, FOUR], "rejected": [thought, more, FIVE]}
    assert brought("preference", row)[0][0]["messages"] == [ASK, thought, more]


def test_a_pair_of_texts_stays_as_it_is_and_equal_answers_stay_answers() -> None:
    plain = {"prompt": "2+2?", "chosen": "4", "rejected": "5", "margin": 2}
    rows, account = brought("preference", plain)
    assert rows == [plain] and not account.forms
    assert brought("preference", {**plain, "chosen": 4})[0] == [{**plain, "chosen": 4}]
    same = {"chosen": [ASK, FOUR], "rejected": [ASK, FOUR]}
    assert brought("preference", same)[0][0]["chosen"] == "4"  # training counts it as `equal`


def test_pairs_that_are_none_are_refused() -> None:
    assert "a pair needs a column 'prompt'" in said(
        "preference", {"chosen": "a b", "rejected": "a c"}
    )
    assert "it has no prompt" in said("preference", {"chosen": [FOUR], "rejected": [FIVE]})
    null = said("preference", {"prompt": [ASK], "chosen": None, "rejected": [FIVE]})
    assert "row 1: 'chosen' is null" in null
    other = {"prompt": "3+3?", "chosen": [ASK, FOUR], "rejected": [ASK, FIVE]}
    assert "its prompt ends with '3+3?', which is no turn of those" in said("preference", other)
    long = {"chosen": [ASK, FOUR, ASK, FOUR], "rejected": [ASK, FIVE]}
    assert "'chosen' has the turns ['assistant', 'user', 'assistant']" in said("preference", long)


def test_a_prompt_of_messages_keeps_them_and_its_question() -> None:
    made = {"messages": [SYSTEM, ASK], "prompt": "2+2?", "answer": "4"}
    assert brought("prompt", {"prompt": [SYSTEM, ASK], "answer": "4"})[0] == [made]
    assert brought("prompt", {"messages": [SYSTEM, ASK], "answer": "4"})[0] == [made]
    told = said("prompt", {"prompt": "2+2?", "messages": [ASK, FOUR]})
    assert "column 'messages' ends with an answer, '4'" in told
    plain = {"prompt": "2+2?", "answer": "4"}
    assert brought("prompt", plain)[0] == [plain]


def test_rows_of_other_kinds_are_left_alone() -> None:
    row = {"conversations": SHARED, "instruction": "x", "output": "y"}
    assert brought("rows", row)[0] == [row]
