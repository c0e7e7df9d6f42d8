"""Prompts: files, inline turns, raw texts, and what a row may lack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gristmill.errors import RecipeError
from synth.items import Item, Row
from synth.ops import parse_op
from synth.prompt import HOME, load_prompt


def prompted(options: Any, **fields: Any) -> tuple[list[Item], Row]:
    row = Row("r1", 0, {}, 7)
    op = parse_op({"prompt": options})
    return op.plain(
        [Item(dict(fields), messages=({"role": "user", "content": "before"},))], row
    ), row


@pytest.mark.parametrize("name", sorted(path.stem for path in HOME.glob("*.md")))
def test_every_shipped_prompt_says_what_it_needs(name: str) -> None:
    prompt = load_prompt(name)
    (declared,) = [
        line.removeprefix("fields:").strip(" []").replace(" ", "").split(",")
        for line in (HOME / f"{name}.md").read_text().splitlines()
        if line.startswith("fields:")
    ]
    assert prompt.names <= set(declared), f"{name} reads {sorted(prompt.names - set(declared))}"
    assert prompt.about and prompt.source


def test_a_file_is_rendered_and_named_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "ask.md"
    path.write_text(
        "---\nabout: x\n---\n[system]\nBe brief.\n[user]\nAbout {{ topic }}: {braces}\n"
    )
    (item,), _ = prompted(str(path), topic="rye {{ 1 }}")
    assert item.prompt.messages == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "About rye {{ 1 }}: {braces}"},  # values are not templates
    )
    before = item.template
    path.write_text(path.read_text() + "\n")
    (item,), _ = prompted(str(path), topic="rye")
    assert item.template != before


def test_a_chat_goes_on(tmp_path: Path) -> None:
    (item,), _ = prompted({"user": "and {{ x }}?", "continue": True}, x="then")
    assert [m["content"] for m in item.prompt.messages] == ["before", "and then?"]


def test_turns_of_a_field() -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    (item,), _ = prompted(
        {"turns": "talk", "system": "You are {{ who }}."}, talk=turns, who="a miller"
    )
    assert item.prompt.messages == ({"role": "system", "content": "You are a miller."}, *turns)
    kept, row = prompted({"turns": "talk"}, talk="no list")
    assert not kept and row.lost[0].reason == "missing"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ absent }}", "missing"),
        ("{{ text.absent }}", "missing"),
        ("{{ text / 2 }}", "template"),
        ("{{ text.__class__.__mro__ }}", "template"),
        ("{{ ''.join.__globals__ }}", "template"),
    ],
)
def test_what_cannot_be_rendered_fails_the_row_alone(template: str, reason: str) -> None:
    kept, row = prompted({"user": template}, text="x")
    assert not kept and row.lost[0].failed
    assert row.lost[0].reason in (reason, "missing"), row.lost


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "prompt takes one of file, user, text, turns, prefix; it has none"),
        ({"user": "a", "text": "b"}, "it has user, text"),
        ({"user": "{{ open"}, "line 1 of the template is not valid Jinja"),
        ({"text": "a", "continue": True}, "`text` is none"),
        ("diverse_qq", None),
    ],
)
def test_mistakes_are_named(options: Any, said: str | None) -> None:
    with pytest.raises(RecipeError, match=said and said.replace("(", r"\(")):
        parse_op({"prompt": options}).files()


def test_a_prompt_file_needs_sections(tmp_path: Path) -> None:
    path = tmp_path / "bad.md"
    path.write_text("---\nabout: x\n---\nJust text\n[user]\nhello\n")
    with pytest.raises(RecipeError, match=r"begins with 'Just text'"):
        load_prompt(str(path))
