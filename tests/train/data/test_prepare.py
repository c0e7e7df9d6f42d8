"""Rows into sequences on disk: what is kept, what is dropped and why."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gristmill.errors import GristmillError, RecipeError
from gristmill.store import Store
from tests.extras import needs

needs("torch", "transformers")

from tests.train.data.make_rows import (  # noqa: E402
    prepared,
    put_chats,
    put_pairs,
    some_pairs,
    stage,
    turns,
)


def texts(made: Any, tokenizer: Any) -> list[str]:
    bounds = made.starts.tolist()
    return [tokenizer.decode(made.ids[a:b].tolist()) for a, b in pairwise(bounds)]


def test_chats_in_are_chats_used_and_dropped_by_reason(store: Store, tmp_path: Path) -> None:
    chats = [
        turns("rye", "sour"),
        turns("oats"),  # nobody answers
        turns("wheat", "sweet " * 60),  # too long
        turns("spelt", None),
        [],
        turns("emmer", "old", "and rye", "new"),
    ]
    put_chats(store, chats)
    step = stage("sft", "rows/chat", max_length=64)
    made, said = prepared(store, step, tmp_path / "staging")
    rows = said["rows"]
    assert (rows["in"], rows["used"]) == (6, 2)
    assert rows["dropped"] == {"no answer": 1, "null": 2, "too long": 1}
    assert made.table["id"].to_pylist() == ["chat-0", "chat-5"]
    assert rows["tokens"] == len(made.ids) == made.starts[-1]
    assert "1 too long" in said["notes"][0]


def test_cut_rows_lose_the_answers_end(store: Store, tmp_path: Path) -> None:
    put_chats(store, [turns("wheat", "sweet " * 60), turns("rye " * 60, "sour")])
    step = stage("sft", "rows/chat", max_length=40, too_long="cut")
    made, said = prepared(store, step, tmp_path / "staging")
    assert said["rows"]["cut"] == 2
    assert said["rows"]["dropped"] == {"no answer": 1}  # the answer was behind the cut
    assert len(made.ids) == 40 and made.learnt[-1]


def test_where_chooses_by_columns(store: Store, tmp_path: Path) -> None:
    put_chats(store, [turns("rye", str(n)) for n in range(5)], score=[1, 2, 3, 4, 5])
    step = stage("sft", "rows/chat", where="score > 3")
    made, said = prepared(store, step, tmp_path / "staging")
    assert made.table["id"].to_pylist() == ["chat-3", "chat-4"]
    assert said["rows"]["dropped"] == {"where": 3}


def test_pairs_are_two_sequences_and_equal_ones_are_dropped(store: Store, tmp_path: Path) -> None:
    pairs = some_pairs(4)
    pairs[1]["rejected"] = pairs[1]["chosen"]
    put_pairs(store, [{**row, "margin": float(n)} for n, row in enumerate(pairs)])
    step = stage("reward", "rows/pairs", {"bradley_terry": {"margin": "margin"}})
    made, said = prepared(store, step, tmp_path / "staging")
    assert said["rows"]["dropped"] == {"equal": 1}
    assert made.meta.parts == ("chosen", "rejected")
    assert made.column("margin").tolist() == [0, 2, 3]
    assert len(made.starts) == 2 * 3 + 1


def test_an_edited_answer_is_first_and_may_be_missing(store: Store, tmp_path: Path) -> None:
    pairs = [
        {**row, "edited": edited} for row, edited in zip(some_pairs(2), ("best", None), strict=True)
    ]
    put_pairs(store, pairs)
    made, _ = prepared(store, stage("reward", "rows/pairs"), tmp_path / "staging")
    assert made.meta.parts == ("edited", "chosen", "rejected")
    sizes = (made.starts[1:] - made.starts[:-1]).reshape(2, 3)
    assert (sizes[0] > 0).all() and sizes[1, 0] == 0


def test_a_missing_column_is_named(store: Store, tmp_path: Path) -> None:
    put_pairs(store, some_pairs(2))
    step = stage("preference", "rows/pairs", "rpo")
    with pytest.raises(RecipeError, match="no column 'chosen_score'"):
        prepared(store, step, tmp_path / "staging")


def test_rows_of_which_none_is_left_are_an_error(store: Store, tmp_path: Path) -> None:
    put_chats(store, [turns("oats")])
    with pytest.raises(GristmillError, match="no row is left to learn from; of 1: 1 no answer"):
        prepared(store, stage("sft", "rows/chat"), tmp_path / "staging")


def test_kto_takes_pairs_as_good_and_bad_answers(store: Store, tmp_path: Path) -> None:
    put_pairs(store, some_pairs(3))
    made, said = prepared(store, stage("preference", "rows/pairs", "kto"), tmp_path / "staging")
    assert made.meta.parts == ("answer", "other")
    assert made.column("good").tolist() == [1, 0] * 3
    assert (said["rows"]["used"], said["rows"]["examples"]) == (3, 6)


def test_kto_keeps_answers_that_are_equal_and_cuts_the_other(store: Store, tmp_path: Path) -> None:
    chats = [turns("rye", "yes"), turns("rye", "yes"), turns("oats", "no " * 40)]
    put_chats(store, chats, label=[True, True, False])
    step = stage("preference", "rows/chat", "kto", max_length=32)
    made, said = prepared(store, step, tmp_path / "staging")
    assert said["rows"]["dropped"] == {"too long": 1}
    assert len(made) == 2 and made.starts[4] - made.starts[3] == 32


@pytest.mark.parametrize(("kind", "loss"), [("preference", "dpo"), ("reward", "bradley_terry")])
def test_chats_are_no_pairs(kind: str, loss: str, store: Store, tmp_path: Path) -> None:
    put_chats(store, [turns("rye", "yes")], label=[True])
    with pytest.raises(RecipeError, match="it takes rows of kind preference"):
        prepared(store, stage(kind, "rows/chat", loss), tmp_path / "staging")


def test_kto_pairs_a_prompt_with_the_next_rows_answer(store: Store, tmp_path: Path) -> None:
    put_chats(store, [turns("rye", "a"), turns("oats", "b")], label=[True, False])
    from mixtures.tokens.chat import open_chat_tokenizer
    from mixtures.tokens.tokenizers import tokenizer_files

    made, _ = prepared(store, stage("preference", "rows/chat", "kto"), tmp_path / "staging")
    opened = open_chat_tokenizer(tokenizer_files(store["tok/chat"]))
    found = texts(made, opened)
    assert [text.split("<|assistant|>\n")[1] for text in found] == [
        f"{answer}<|end|>\n" for answer in ("a", "b", "b", "a")
    ]
    assert [text.split("\n")[1] for text in found] == ["rye<|end|>"] * 2 + ["oats<|end|>"] * 2


def test_a_reward_models_rows_are_what_an_engine_rates(store: Store, tmp_path: Path) -> None:
    from mixtures.tokens.chat import open_chat_tokenizer, render
    from mixtures.tokens.tokenizers import tokenizer_files

    (pair,) = some_pairs(1)
    put_pairs(store, [pair])
    made, _ = prepared(store, stage("reward", "rows/pairs"), tmp_path / "staging")
    opened = open_chat_tokenizer(tokenizer_files(store["tok/chat"]))
    text = render(opened, turns(pair["prompt"], pair["chosen"]), False)  # type: ignore[arg-type]
    assert made.ids[: made.starts[1]].tolist() == opened.encode(text, add_special_tokens=False)


def test_prompts_keep_their_texts(store: Store, tmp_path: Path) -> None:
    import pyarrow as pa

    from tests.make_store import put
    from train.data.chat import prompt_ids

    rows = [{"id": "a", "prompt": "mill rye", "answer": "flour", "verifier": "exact"}]
    put(store, "rows/prompt", {"": ("prompt", [pa.Table.from_pylist(rows)])})
    step = stage("distill", "rows/prompt", "cross_entropy")
    made, _ = prepared(store, step, tmp_path / "staging")
    from mixtures.tokens.chat import open_chat_tokenizer
    from mixtures.tokens.tokenizers import tokenizer_files

    opened = open_chat_tokenizer(tokenizer_files(store["tok/chat"]))
    asked = [[{"role": "user", "content": row["prompt"]}] for row in rows]
    found = made.table.to_pylist()
    assert [json.loads(row.pop("turns")) for row in found] == asked
    assert found == rows
    assert made.ids.tolist() == prompt_ids(opened, rows[0])


def test_a_teachers_rows_keep_its_tokens(store: Store, tmp_path: Path) -> None:
    import pyarrow as pa

    from gristmill.schema import KINDS
    from tests.make_store import put

    rows = [
        {
            "id": "a",
            "input_ids": [5, 6, 7],
            "top_ids": [[5, 1], [6, 2], [8]],
            "top_logprobs": [[-0.1, -3.0], [-0.2, -2.0], [-0.3]],
        }
    ]
    schema = KINDS["teacher"].required
    put(store, "rows/teacher", {"": ("teacher", [pa.Table.from_pylist(rows, schema)])})
    made, _ = prepared(store, stage("distill", "rows/teacher"), tmp_path / "staging")
    assert made.meta.top == 2
    assert made.top["top_ids"].tolist() == [[5, 1], [6, 2], [8, 0]]
    assert made.top["top_logprobs"][2, 1] == float("-inf")
    assert made.learnt.tolist() == [0, 1, 1]
