"""Emit: a row's last items as rows of a declared kind, each with its provenance.

In: items. Out: rows: document, chat, preference, prompt, teacher; and `parents`, `made`.
Shown by: `gristmill show synth/qa`. Limit: one emit a flow, at its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field, model_validator

from gristmill.errors import nearest
from gristmill.schema import MESSAGE
from synth.items import Item, Made, Row, item_id
from synth.ops import SynthOp, register_op
from synth.prompt import turns_of
from synth.templates import RenderError, template

MADE = pa.struct(
    [
        *((name, pa.string()) for name in ("stage", "engine", "model", "revision", "template")),
        *((name, pa.string()) for name in ("key", "params")),
        ("seed", pa.int64()),
        ("finish_reason", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("completion_tokens", pa.int32()),
    ]
)
PROVENANCE = {"parents": pa.list_(pa.string()), "made": pa.list_(MADE)}
IDS, NUMBERS = pa.list_(pa.int32()), pa.list_(pa.float32())
SHAPES: dict[str, dict[str, pa.DataType]] = {
    "document": {n: pa.string() for n in ("id", "text", "url", "date", "source")},
    "chat": {"id": pa.string(), "messages": pa.list_(MESSAGE)},
    "preference": {n: pa.string() for n in ("id", "prompt", "chosen", "rejected")},
    "prompt": {n: pa.string() for n in ("id", "prompt", "answer", "verifier")},
    "teacher": {
        "id": pa.string(),
        "input_ids": IDS,
        "top_ids": pa.list_(IDS),
        "top_logprobs": pa.list_(NUMBERS),
    },
}
# Templates that a kind takes, and what they are where a recipe does not say.
TEXTS = {
    "document": {"text": "{{ response }}"},
    "preference": {
        "prompt": "{{ prompt }}",
        "chosen": "{{ chosen }}",
        "rejected": "{{ rejected }}",
    },
    "prompt": {"prompt": "{{ prompt }}", "answer": "{{ answer }}", "verifier": "{{ verifier }}"},
}
Kind = Literal["document", "chat", "preference", "prompt", "teacher"]


@register_op("emit")
class Emit(SynthOp):
    """Write items as rows of a kind; `columns` keeps fields of the items beside them."""

    kind: Kind = "document"
    text: str | None = None
    prompt: str | None = None
    chosen: str | None = None
    rejected: str | None = None
    answer: str | None = None
    verifier: str | None = None
    messages: tuple[dict[str, str], ...] | None = None  # [{user: "…"}, {assistant: "…"}]
    turns: str | None = None  # of a chat: the field that holds its list of {role, content}
    columns: tuple[str, ...] = ()
    source: str | None = None  # value of the column `source`; default: the step's name
    min_chars: int = Field(1, ge=0)  # shorter texts fail as `empty`

    @model_validator(mode="after")
    def _templates(self) -> Emit:
        taken = TEXTS.get(self.kind, {})
        for name in ("text", "prompt", "chosen", "rejected", "answer", "verifier"):
            given = getattr(self, name)
            if given is not None and name not in taken:
                raise ValueError(f"emit.{name} is no part of a {self.kind}{nearest(name, taken)}")
            if given is not None:
                template(given, f"emit.{name}")
        if self.turns is not None and (self.kind != "chat" or self.messages is not None):
            raise ValueError("emit.turns is the whole of a chat: use `kind: chat`, no `messages`")
        if self.messages is not None and self.kind != "chat":
            raise ValueError(f"emit.messages is no part of a {self.kind}; use `kind: chat`")
        for turn in self.messages or ():
            for role, text in turn.items():
                if len(turn) != 1 or role not in ("system", "user", "assistant"):
                    raise ValueError(f"emit.messages has {turn!r:.60}; write `{{user: …}}`")
                template(text, "emit.messages")
        return self

    def row_schema(self, known: Mapping[str, pa.DataType]) -> pa.Schema:
        """Columns of the rows: the kind's, `columns` with the types known, provenance."""
        own = SHAPES[self.kind]
        extra = {n: known.get(n, pa.string()) for n in self.columns if n not in own}
        return pa.schema(list({**own, **extra, **PROVENANCE}.items()))

    def rows(self, items: Sequence[Item], row: Row, step: str) -> list[dict[str, Any]]:
        """One dict an item that could be written; the others are noted as failed."""
        found = []
        for item in items:
            try:
                values = self._values(item, row, step)
            except RenderError as error:
                row.fail("emit", error.reason, str(error))
                continue
            texts = [
                v for n in self._texts for v in [values.get(n)] if n not in ("answer", "verifier")
            ]
            if any(len(text or "") < self.min_chars for text in texts):
                row.fail("emit", "empty")
                continue
            found.append(values)
        return found

    @cached_property
    def _texts(self) -> dict[str, str]:
        return {n: getattr(self, n) or default for n, default in TEXTS.get(self.kind, {}).items()}

    def _values(self, item: Item, row: Row, step: str) -> dict[str, Any]:
        values: dict[str, Any] = {
            n: template(t).render(item.fields) for n, t in self._texts.items()
        }
        if self.kind == "document":
            values |= {"url": row.source.get("url"), "date": None, "source": self.source or step}
        elif self.kind == "chat":
            values["messages"] = self._messages(item)
        elif self.kind == "teacher":
            values |= _teacher(item)
        values |= {n: item.fields.get(n) for n in self.columns if n not in values}
        values["id"] = item_id(row, item, step)
        values["parents"] = list(row.parents) or [row.id]
        values["made"] = [_made(made) for made in item.made]
        return values

    def _messages(self, item: Item) -> list[dict[str, str]]:
        if self.turns is not None:
            return list(turns_of(item.fields, self.turns))
        if self.messages is None:
            return [dict(message) for message in item.messages]
        return [
            {"role": role, "content": template(text).render(item.fields)}
            for turn in self.messages
            for role, text in turn.items()
        ]


def _made(made: Made) -> dict[str, Any]:
    return {name: getattr(made, name) for name in Made.__slots__}


def _teacher(item: Item) -> dict[str, Any]:
    answer = item.answer
    if answer is None or answer.top_ids is None:
        raise RenderError(
            "missing", "no score_tokens with `top`, or sample with `logprobs`, came before"
        )
    return {
        "input_ids": answer.token_ids,
        "top_ids": answer.top_ids,
        "top_logprobs": answer.top_logprobs,
    }
