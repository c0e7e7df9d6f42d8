"""Prompts: files with a content hash, rendered from a row's fields into a chat or a raw text.

In: an item. Out: the same item with what the next `sample` completes.
Shown by: `python -c "from synth.prompt import load_prompt; print(load_prompt('faq').about)"`.
Limit: sections are text; images and tool calls have no form here.

A prompt file is Markdown with front matter (`about`, `source`, `fields`) and sections that begin
with a line `[system]`, `[user]` or `[assistant]`, each a Jinja2 template. Its digest enters every
row's provenance.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, model_validator

from gristmill.errors import RecipeError, nearest
from synth.calls import Message
from synth.items import Item, Row
from synth.ops import SynthOp, register_op
from synth.templates import RenderError, Template, template

HOME = Path(__file__).parent / "prompts"
_SECTION = re.compile(r"^\[(system|user|assistant)\]\s*$", re.MULTILINE)
_FRONT = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


@dataclass(frozen=True)
class PromptFile:
    """A prompt as it lies on disk."""

    name: str
    digest: str  # 16 hex digits of its bytes
    about: str
    source: str
    sections: tuple[tuple[str, Template], ...]

    @property
    def names(self) -> frozenset[str]:
        """Fields that its templates read."""
        return frozenset[str]().union(*(part.names for _, part in self.sections))

    def render(self, fields: Mapping[str, Any]) -> tuple[Message, ...]:
        """Messages for one row; RenderError where a field is missing."""
        return tuple(
            {"role": role, "content": part.render(fields).strip()} for role, part in self.sections
        )


def prompt_path(name: str) -> Path:
    """Of a built-in name or a path; RecipeError with the nearest name where neither is there."""
    path = Path(name) if "/" in name or name.endswith(".md") else HOME / f"{name}.md"
    if not path.is_file():
        known = (file.stem for file in HOME.glob("*.md"))
        raise RecipeError(f"there is no prompt {name!r}{nearest(name, known)}")
    return path


def load_prompt(name: str) -> PromptFile:
    """A prompt file, parsed and compiled once a process and content."""
    path = prompt_path(name)
    return _parse(path.stem, path.read_text(encoding="utf-8"))


@lru_cache(maxsize=256)
def _parse(name: str, text: str) -> PromptFile:
    front = _FRONT.match(text)
    head = yaml.safe_load(front[1]) if front else {}
    if not isinstance(head, dict):
        raise RecipeError(f"prompt {name!r}: its front matter is no mapping")
    body = text[front.end() :] if front else text
    pieces = _SECTION.split(body)
    if len(pieces) < 3 or pieces[0].strip():
        raise RecipeError(
            f"prompt {name!r}: a prompt is sections that begin with a line [system], [user] or "
            f"[assistant]; it begins with {pieces[0].strip()[:40]!r}"
        )
    sections = tuple(
        (role, template(part.strip("\n"), f"prompt {name!r} [{role}]"))
        for role, part in zip(pieces[1::2], pieces[2::2], strict=True)
    )
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return PromptFile(
        name, digest, str(head.get("about", "")), str(head.get("source", "")), sections
    )


@dataclass(frozen=True, slots=True)
class Rendered:
    """What the next sample completes: a chat, or a raw text; `prefix` as in calls.Generate."""

    messages: tuple[Message, ...] | None = None
    text: str | None = None
    template: str = ""
    prefix: Literal["", "user"] = ""
    group: str = ""


def turns_of(fields: Mapping[str, Any], name: str) -> tuple[Message, ...]:
    """The conversation in a field; RenderError where it is none."""
    turns = fields.get(name)
    if not isinstance(turns, list | tuple) or not all(
        isinstance(turn, dict) and turn.keys() == {"role", "content"} for turn in turns
    ):
        raise RenderError("missing", f"field {name!r} is no list of {{role, content}}")
    return tuple(dict(turn) for turn in turns)


@register_op("prompt")
class Prompt(SynthOp):
    """Render a prompt: a file, an inline text, a raw text to be completed, or Magpie's prefix."""

    file: str | None = None  # a name in synth/prompts/, or a path
    user: str | None = None  # an inline user turn
    system: str | None = None  # before `user`, or before `prefix: user`
    text: str | None = None  # raw: completed as it is, without a chat template
    turns: str | None = None  # a field that holds the conversation: a list of {role, content}
    prefix: Literal["user"] | None = None  # the model writes the user's turn itself (Magpie)
    continue_: bool = Field(False, alias="continue")  # after the conversation so far
    with_: dict[str, str | int | float] = Field({}, alias="with")  # further variables

    @model_validator(mode="after")
    def _one(self) -> Prompt:
        given = [
            k for k in ("file", "user", "text", "turns", "prefix") if getattr(self, k) is not None
        ]
        if len(given) != 1:
            raise ValueError(
                "prompt takes one of file, user, text, turns, prefix; it has "
                + (", ".join(given) or "none")
            )
        if self.continue_ and given[0] in ("text", "turns", "prefix"):
            raise ValueError(f"prompt.continue goes on with a chat; `{given[0]}` is none")
        for key in ("user", "system", "text"):
            if (given_text := getattr(self, key)) is not None:
                template(given_text, f"prompt.{key}")
        return self

    def files(self) -> list[str]:
        return [str(prompt_path(self.file))] if self.file else []

    def check(self) -> None:
        if self.file:
            load_prompt(self.file)

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        kept = []
        for item in items:
            fields = {**item.fields, **self.with_} if self.with_ else item.fields
            try:
                rendered = self._rendered(fields, item.messages)
            except RenderError as error:
                row.fail("prompt", error.reason, str(error))
                continue
            item.prompt, item.template = rendered, rendered.template
            kept.append(item)
        return kept

    def _rendered(self, fields: Mapping[str, Any], before: tuple[Message, ...]) -> Rendered:
        if self.text is not None:
            return Rendered(text=template(self.text).render(fields))
        if self.turns is not None:
            return Rendered(messages=(*self._system(fields), *turns_of(fields, self.turns)))
        if self.prefix:
            return Rendered(messages=self._system(fields), prefix=self.prefix)
        if self.file:
            file = load_prompt(self.file)
            messages, digest = file.render(fields), file.digest
        else:
            turn = {"role": "user", "content": template(self.user or "").render(fields)}
            messages, digest = (*self._system(fields), turn), ""
        if self.continue_:
            messages = (*before, *messages)
        return Rendered(messages=messages, template=digest)

    def _system(self, fields: Mapping[str, Any]) -> tuple[Message, ...]:
        if self.system is None:
            return ()
        return ({"role": "system", "content": template(self.system).render(fields)},)
