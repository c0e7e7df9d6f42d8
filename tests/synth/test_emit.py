"""Emit: rows of every kind with their provenance; loops, chunks, draws, explosions before it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from gristmill import schema
from gristmill.errors import RecipeError
from synth.emit import SHAPES, Emit
from synth.items import Item, Made, Row
from synth.ops import parse_op
from synth.source.chunk import cut

MADE = Made("response", "main", "m", "r1", "t1", "ab" * 16, "{}", 5, "stop", 10, 20)
ROW = Row("parent", 0, {"url": "https://example.org/a"}, 7)
FIELDS = {
    "response": "flour",
    "prompt": "grind",
    "chosen": "good",
    "rejected": "bad",
    "answer": "4",
    "verifier": "maths",
}


def emitted(options: dict[str, Any], item: Item) -> list[dict[str, Any]]:
    op = parse_op({"emit": options})
    assert isinstance(op, Emit)
    rows = op.rows([item], ROW, "synth/x")
    arrow = op.row_schema({})
    schema.check(str(options["kind"]), arrow, "synth/x")
    assert pa.Table.from_pylist(rows, arrow).num_rows == len(rows)
    return rows


def item(**more: Any) -> Item:
    chat = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"})
    return Item({**FIELDS, **more}, messages=chat, made=(MADE,), path=(2,))


@pytest.mark.parametrize("kind", sorted(set(SHAPES) - {"teacher"}))
def test_a_row_of_each_kind_has_its_provenance(kind: str) -> None:
    (row,) = emitted({"kind": kind}, item())
    assert row["parents"] == ["parent"]
    (made,) = row["made"]
    assert (made["model"], made["seed"], made["finish_reason"]) == ("m", 5, "stop")
    assert (made["prompt_tokens"], made["completion_tokens"]) == (10, 20)


def test_ids_tell_parts_and_requests_apart_and_nothing_else() -> None:
    def id_of(**more: Any) -> str:
        one = item()
        for name, value in more.items():
            setattr(one, name, value)
        return str(emitted({"kind": "chat"}, one)[0]["id"])

    other = Made(*[getattr(MADE, n) if n != "key" else "cd" * 16 for n in Made.__slots__])
    assert id_of() == id_of(fields={**FIELDS, "more": 1})
    assert len({id_of(), id_of(path=(3,)), id_of(made=(other,))}) == 3


def test_messages_may_be_written_out_or_come_from_a_field() -> None:
    turns = [{"user": "Q: {{ prompt }}"}, {"assistant": "{{ response }}"}]
    (row,) = emitted({"kind": "chat", "messages": turns}, item())
    assert [m["content"] for m in row["messages"]] == ["Q: grind", "flour"]
    talk = [{"role": "user", "content": "a"}]
    (row,) = emitted({"kind": "chat", "turns": "talk"}, item(talk=talk))
    assert row["messages"] == talk


def test_an_empty_text_fails_and_says_so() -> None:
    row = Row("r", 0, {}, 7)
    op = parse_op({"emit": {"kind": "document", "text": "{{ nothing }}"}})
    assert isinstance(op, Emit)
    assert op.rows([Item({"nothing": ""})], row, "x") == []
    assert op.rows([Item({})], row, "x") == []
    assert [lost.reason for lost in row.lost] == ["empty", "missing"]


def test_mistakes_are_named() -> None:
    for options, said in [
        ({"kind": "chat", "text": "x"}, "emit.text is no part of a chat"),
        ({"kind": "document", "messages": [{"user": "x"}]}, "use `kind: chat`"),
        ({"kind": "chat", "messages": [{"robot": "x"}]}, "write `{user: …}`"),
        ({"kind": "chat", "turns": "x", "messages": [{"user": "x"}]}, "emit.turns is the whole"),
    ]:
        with pytest.raises(RecipeError) as error:
            parse_op({"emit": options})
        assert said in str(error.value)


def ran(op: Any, *items: Item, row: Row | None = None) -> list[Item]:
    return parse_op(op).plain(list(items), row or Row("r", 0, {}, 7))


def test_passages_hold_every_word_once() -> None:
    text = "One two three. Four five!\n\nSix seven eight nine ten eleven twelve.\nEnd."
    for words in (1, 3, 5, 100):
        passages = cut(text, words)
        assert " ".join(passages).split() == text.split()
        assert all(len(p.split()) <= words for p in passages)
    items = ran({"chunk": {"words": 5, "min_words": 2}}, Item({"text": text}))
    assert [i.fields["chunk"] for i in items] == [i.path[0] for i in items]
    assert items[0].fields["document"] == text


def test_what_stands_between_paragraphs_stays() -> None:
    text = "para one.\n\npara two.\n\n    code\n    more"
    assert cut(text, 300) == [text]
    assert cut(text, 4) == ["para one.\n\npara two.", "    code\n    more"]


def test_a_null_is_no_text() -> None:
    row = Row("r", 0, {}, 7)
    op = parse_op({"emit": {"kind": "document", "text": "{{ title }} {{ response }}"}})
    assert isinstance(op, Emit)
    assert op.rows([Item({"title": None, "response": "x"})], row, "x") == []
    assert row.lost[0].reason == "missing"
    kept = op.rows([Item({"title": "", "response": "x"})], row, "x")
    assert kept[0]["text"] == " x"


def test_draws_belong_to_the_row() -> None:
    op = {"draw": {"audience": ["children", "students", "experts"], "form": ["story", "essay"]}}
    found = {
        (i.fields["audience"], i.fields["form"])
        for n in range(60)
        for i in ran(op, Item({}), row=Row(f"r{n}", n, {}, 7))
    }
    assert len(found) == 6
    again = [ran(op, Item({}), row=Row("r1", 1, {}, 7))[0].fields for _ in range(2)]
    assert again[0] == again[1]
    assert len(ran({"draw": {**op["draw"], "each": True}}, Item({}))) == 6


def test_explode() -> None:
    pairs = [{"question": "a", "answer": "b"}, {"question": "c", "answer": "d"}]
    items = ran({"explode": "pairs"}, Item({"pairs": pairs}))
    assert [(i.fields["question"], i.path) for i in items] == [("a", (0,)), ("c", (1,))]
    row = Row("r", 0, {}, 7)
    assert not ran({"explode": "pairs"}, Item({}), row=row) and row.lost[0].reason == "missing"
