"""The forms in which other tools keep chats, pairs and prompts, recognised by their columns.

In: a table and the kind that it is to be. Out: the table with the columns of that kind, and what
was done. Shown by: `gristmill import pairs/mine trl.jsonl --kind preference`.
Limit: of two answers as texts without a prompt it cannot be told where the prompt ends.

    chat        messages, conversations (lists of role and content, or from and value);
                prompt and completion or response; instruction, input and output
    preference  chosen and rejected as texts or messages; prompt as either, or messages, or in both
    prompt      prompt as text or messages; messages
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa

from gristmill.errors import GristmillError
from gristmill.schema import MESSAGE
from pipelines.import_turns import BadRow, Turn, common, turns_of

Row = dict[str, Any]
OPTIONAL = {"prompt": ("answer", "verifier")}  # null where a file has no such column
_TALKS = ("messages", "conversations", "conversation")
_ASKED = (("prompt", "completion"), ("prompt", "response"))
_MESSAGES = ("messages", pa.list_(MESSAGE))


@dataclass(slots=True)
class Account:
    """What became of the rows of a file."""

    rows: int = 0
    forms: Counter[str] = field(default_factory=Counter)  # what was converted: rows
    lost: Counter[str] = field(default_factory=Counter)  # keys of messages: rows


@dataclass(frozen=True, slots=True)
class Form:
    """How rows become those of a kind."""

    reads: tuple[str, ...]  # these columns go
    makes: pa.Schema
    convert: Callable[[Row, set[str]], Row]
    about: str = ""  # for people; nothing where rows are already as they should be


def converted(table: pa.Table, kind: str, name: str, account: Account) -> pa.Table:
    """The rows in the form of their kind; GristmillError, which names file and row, for others."""
    try:
        form = _FORMS[kind](table.schema) if kind in _FORMS else None
    except BadRow as error:
        raise GristmillError(f"{name}: {error}") from None
    if form is None:
        account.rows += table.num_rows
        return table
    made = []
    for row in table.select(form.reads).to_pylist():
        account.rows += 1
        lost: set[str] = set()
        try:
            made.append(form.convert(row, lost))
        except BadRow as error:
            raise GristmillError(f"{name}, row {account.rows}: {error}") from None
        account.lost.update(lost)
        account.forms[form.about] += 1
    kept = {n: table[n] for n in table.schema.names if n not in (*form.reads, *form.makes.names)}
    new = {f.name: pa.array([row[f.name] for row in made], f.type) for f in form.makes}
    return pa.table({**new, **kept})


def _chat(schema: pa.Schema) -> Form | None:
    names, makes = schema.names, pa.schema([_MESSAGES])
    if talk := _talk(names):
        if not _listed(schema, talk):
            raise BadRow(
                f"column {talk!r} is {schema.field(talk).type}; a chat's are a list of messages, "
                "each with 'role' and 'content' (or 'from' and 'value')"
            )
        given = schema.field(talk).type.value_type
        shared = pa.types.is_struct(given) and given.get_field_index("from") >= 0
        if talk == "messages" and not shared:
            return Form((talk,), makes, partial(_told, talk))
        about = f"`{talk}` ({'from, value' if shared else 'role, content'})"
        return Form(_there(names, talk, "system"), makes, partial(_told, talk), about)
    for pair in _ASKED:
        if set(pair) <= set(names):
            return Form(pair, makes, partial(_asked, pair), f"`{pair[0]}` and `{pair[1]}`")
    if "instruction" in names and "output" in names:
        reads = _there(names, "instruction", "input", "output", "system")
        return Form(reads, makes, _alpaca, f"`{'`, `'.join(reads)}`")
    return None


def _told(talk: str, row: Row, lost: set[str]) -> Row:
    turns = turns_of(row[talk], "user", lost)
    return {"messages": [*_system(row, turns), *turns]}


def _system(row: Row, turns: list[Turn]) -> list[Turn]:
    text = row.get("system")
    if not text or any(turn["role"] == "system" for turn in turns):
        return []
    return turns_of(text, "system", set())


def _asked(names: tuple[str, str], row: Row, lost: set[str]) -> Row:
    _need(row, *names)
    roles = zip(names, ("user", "assistant"), strict=True)
    return {"messages": [turn for name, role in roles for turn in turns_of(row[name], role, lost)]}


def _alpaca(row: Row, lost: set[str]) -> Row:
    _need(row, "instruction", "output")
    asked = [
        turns_of(text, "user", lost) for text in (row["instruction"], row.get("input")) if text
    ]
    text = "\n\n".join(turns[0]["content"] for turns in asked)
    turns = [*turns_of(text, "user", lost), *turns_of(row["output"], "assistant", lost)]
    return {"messages": [*_system(row, turns), *turns]}


def _preference(schema: pa.Schema) -> Form | None:
    names, talk = schema.names, _talk(schema.names)
    if "chosen" not in names or "rejected" not in names:
        return None
    texts = not any(pa.types.is_nested(schema.field(n).type) for n in ("chosen", "rejected"))
    if texts and talk is None and not _listed(schema, "prompt"):
        if "prompt" not in names:
            raise BadRow(
                "a pair needs a column 'prompt' (text or messages) or 'messages': where the prompt "
                "ends in answers that are texts cannot be told; the file has " + ", ".join(names)
            )
        return None
    plain = texts and talk == "messages" and schema.field(talk).type == _MESSAGES[1]
    reads = _there(names, talk or "prompt", "prompt", "chosen", "rejected")
    makes = pa.schema([_MESSAGES, *((n, pa.string()) for n in ("prompt", "chosen", "rejected"))])
    return Form(reads, makes, partial(_pair, talk), "" if plain else f"`{'`, `'.join(reads)}`")


def _pair(talk: str | None, row: Row, lost: set[str]) -> Row:
    _need(row, "chosen", "rejected")
    chosen, rejected = (turns_of(row[side], "assistant", lost) for side in ("chosen", "rejected"))
    before = common(chosen, rejected)
    answers = {"chosen": chosen[len(before) :], "rejected": rejected[len(before) :]}
    for side, turns in answers.items():
        if [turn["role"] for turn in turns] != ["assistant"]:
            raise BadRow(
                f"{side!r} has the turns {[turn['role'] for turn in turns]} behind what both begin "
                "with; a pair is one prompt and two answers of the assistant, a turn each"
            )
    found = [turns_of(row[n], "user", lost) for n in (talk, "prompt") if n and row.get(n)]
    given = [turns for turns in found if turns not in (chosen, rejected)]
    turns = _joined(given[0] if given else [], before)
    if not turns:
        raise BadRow("it has no prompt: neither a column nor turns with which both answers begin")
    texts = {side: turns[0]["content"] for side, turns in answers.items()}
    return {"messages": turns, "prompt": _asks(row, turns), **texts}


def _joined(given: list[Turn], before: list[Turn]) -> list[Turn]:
    """The prompt of a pair: as it is given, or with which both answers begin, or one after other.

    Many files have the prompt twice: as text, and as the first turn of either answer.
    """
    if not before or before[: len(given)] == given or given[-1] in before:
        return before or given
    if all(any(turn["role"] == "user" for turn in turns) for turns in (given, before)):
        raise BadRow(
            f"its prompt ends with {given[-1]['content']!r:.60}, which is no turn of those with "
            "which both answers begin; leave the column out, or what the answers begin with"
        )
    return [*given, *before]


def _asks(row: Row, turns: list[Turn]) -> str:
    """What a row asks in one text: of people, verifiers and judges."""
    own = row.get("prompt")
    return own if isinstance(own, str) else turns[-1]["content"]


def _prompt(schema: pa.Schema) -> Form | None:
    names, talk = schema.names, _talk(schema.names)
    if talk is None and not _listed(schema, "prompt"):
        return None
    read = talk or "prompt"
    plain = read == "messages" and schema.field(read).type == _MESSAGES[1]
    makes = pa.schema([_MESSAGES, ("prompt", pa.string())])
    reads = _there(names, read, "prompt")
    return Form(reads, makes, partial(_question, read), "" if plain else f"`{read}`")


def _question(read: str, row: Row, lost: set[str]) -> Row:
    turns = turns_of(row[read] or row.get("prompt"), "user", lost)
    if turns[-1]["role"] == "assistant":
        raise BadRow(
            f"column {read!r} ends with an answer, {turns[-1]['content']!r:.60}; a prompt has "
            "none: leave that turn out, or the column"
        )
    return {"messages": turns, "prompt": _asks(row, turns)}


_FORMS = {"chat": _chat, "preference": _preference, "prompt": _prompt}


def _listed(schema: pa.Schema, name: str) -> bool:
    """Whether a column is of messages."""
    if name not in schema.names:
        return False
    found = schema.field(name).type
    return bool(pa.types.is_list(found) or pa.types.is_large_list(found))


def _talk(names: Sequence[str]) -> str | None:
    return next((name for name in _TALKS if name in names), None)


def _there(names: Sequence[str], *wanted: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in wanted if name in names))


def _need(row: Row, *names: str) -> None:
    for name in names:
        if row[name] is None:
            raise BadRow(f"{name!r} is null; leave the row out")
