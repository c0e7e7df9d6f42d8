"""What a stage's kind makes of a row: which columns it reads, and the sequences that they give.

In: a stage, a dataset's kind and columns. Out: a Shape, whose `parts` turns rows into chats in
parts. Shown by: `python -m pytest tests/train/data/test_prepare.py`.
Limit: a row's sequences have fixed names; one that a row has not (an edited answer) is empty.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gristmill.errors import RecipeError, nearest
from mixtures.tokens.chat import BadChat, Parts, chat_parts
from train.data.chat import answer_parts, prompt_text, turns_of
from train.spec.losses.preference import Kto, Rpo
from train.spec.losses.reward import Attributes, BradleyTerry, SoftLabel

if TYPE_CHECKING:
    from train.step import Train

OTHER = (
    "other"  # KTO: the same prompt with another row's answer, which tells how far the policy went
)
TURNS = "turns"  # of a prompt, as JSON: what a reward model reads before an answer
Row = Mapping[str, Any]
Made = list[tuple[list[Parts], Row]]  # examples of a row: their sequences, and their numbers


class BadRow(Exception):
    """Why a row is left out: a short reason."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How rows become sequences."""

    sequences: tuple[str, ...]
    columns: tuple[str, ...]  # read, beside id
    parts: Callable[[Any, Row, Row], Made]  # tokenizer, row, the row after it
    numbers: tuple[str, ...] = ()  # kept beside the sequences
    needed: tuple[str, ...] = ()  # of them: a row without is left out
    texts: tuple[str, ...] = ()  # columns of text that are kept
    whole: bool = False  # encoded as one text, as an engine rates it
    teacher: bool = False  # token ids are given

    @property
    def learnt(self) -> bool:
        """Whether each sequence must have a token that is learnt."""
        return not self.whole and self.sequences != ("prompt",)


def shape_of(step: Train, kind: str, columns: Sequence[str], where: str) -> Shape:
    """The shape of a dataset's rows; RecipeError where a column is missing."""
    shape = _shape(step, kind, columns)
    for name in shape.columns:
        if name not in columns:
            raise RecipeError(
                f"{where} (kind {kind}) has no column {name!r}, which a {step.kind} stage with the "
                f"loss {step.objective.NAME!r} reads{nearest(name, columns)}"
            )
    return shape


def _shape(step: Train, kind: str, columns: Sequence[str]) -> Shape:
    loss = step.objective
    if kind == "teacher":
        found = ("input_ids", "top_ids", "top_logprobs")
        return Shape(("answer",), found, _nothing, teacher=True)
    if kind == "prompt":
        known = [n for n in ("prompt", "messages", "answer", "verifier") if n in columns]
        kept = tuple(n for n in known if n != "messages")
        return Shape(("prompt",), tuple(known), _prompt, texts=(*kept, TURNS))
    if step.kind == "reward" and isinstance(loss, Attributes):
        talk = ("messages",) if "messages" in columns else ("prompt", "response")
        rated = loss.columns
        return Shape(("answer",), (*talk, *rated), _rated, rated, whole=True)
    if isinstance(loss, Kto):
        if kind == "preference":
            return Shape(("answer", OTHER), _pair(columns), _halves, ("good",))
        read = ("messages", loss.label)
        return Shape(("answer", OTHER), read, _judged(loss.label), ("good",), ("good",))
    if kind == "preference":
        return _pairs(step, columns)
    if step.kind in ("reward", "preference"):
        for_kind = "attributes" if step.kind == "reward" else "kto"
        raise RecipeError(
            f"rows of kind {kind} are for the loss {for_kind!r}; {loss.NAME!r} compares answers: "
            "it takes rows of kind preference (prompt, chosen, rejected)"
        )
    return Shape(("answer",), ("messages",), _chat)


def _pairs(step: Train, columns: Sequence[str]) -> Shape:
    loss, read = step.objective, _pair(columns)
    needed: tuple[str, ...] = ()
    graded: tuple[str, ...] = ()
    names: tuple[str, ...] = ("chosen", "rejected")
    if isinstance(loss, BradleyTerry):
        needed = (loss.margin,) if loss.margin else ()
        names = ("edited", *names) if "edited" in columns else names
    elif isinstance(loss, SoftLabel):
        needed = (loss.level,)
        graded = tuple(f"{side}_{name}" for name in loss.grades for side in names)
    elif isinstance(loss, Rpo):
        needed = (loss.chosen, loss.rejected)
    read = (*read, "edited") if "edited" in names else read
    numbers = (*needed, *graded)
    whole = step.kind == "reward"
    return Shape(names, (*read, *numbers), _answers(names), numbers, needed, whole=whole)


def _pair(columns: Sequence[str]) -> tuple[str, ...]:
    return ("messages" if "messages" in columns else "prompt", "chosen", "rejected")


def _chat(tokenizer: Any, row: Row, after: Row) -> Made:
    return [([chat_parts(tokenizer, _full(row))], row)]


def _prompt(tokenizer: Any, row: Row, after: Row) -> Made:
    turns = json.dumps([dict(turn) for turn in turns_of(row)])
    return [([[(prompt_text(tokenizer, row), False)]], {**row, TURNS: turns})]


def _rated(tokenizer: Any, row: Row, after: Row) -> Made:
    if "messages" in row:
        return [([chat_parts(tokenizer, _full(row))], row)]
    return [([answer_parts(tokenizer, turns_of(row), _text(row, "response"))], row)]


def _answers(names: Iterable[str]) -> Callable[[Any, Row, Row], Made]:
    """The prompt with each answer of a row."""

    def parts(tokenizer: Any, row: Row, after: Row) -> Made:
        if row["chosen"] == row["rejected"]:
            raise BadRow("equal")
        turns = _before(row)
        found: list[Parts] = []
        for name in names:
            if name == "edited" and row[name] is None:
                found.append([])
            else:
                found.append(answer_parts(tokenizer, turns, _text(row, name)))
        return [(found, row)]

    return parts


def _halves(tokenizer: Any, row: Row, after: Row) -> Made:
    """A pair as a good and a bad answer."""
    if row["chosen"] == row["rejected"]:
        raise BadRow("equal")
    turns, other = _before(row), after["chosen"] or ""
    foreign = answer_parts(tokenizer, turns, other)
    return [
        ([answer_parts(tokenizer, turns, _text(row, name)), foreign], {**row, "good": good})
        for name, good in (("chosen", 1.0), ("rejected", 0.0))
    ]


def _judged(label: str) -> Callable[[Any, Row, Row], Made]:
    """A chat whose last turn is good or bad, and the same prompt with the next row's answer."""

    def parts(tokenizer: Any, row: Row, after: Row) -> Made:
        turns = _full(row)
        if turns[-1]["role"] != "assistant":
            raise BadRow("no answer")
        other = (after["messages"] or [{"content": ""}])[-1]["content"] or ""
        found = [
            chat_parts(tokenizer, turns, last=True),
            answer_parts(tokenizer, turns[:-1], other),
        ]
        return [(found, {**row, "good": row[label]})]

    return parts


def _nothing(tokenizer: Any, row: Row, after: Row) -> Made:
    return []


def _before(row: Row) -> list[Mapping[str, str]]:
    turns = turns_of(row)
    if any(turn["content"] is None for turn in turns):
        raise BadRow("null")
    return turns


def _full(row: Row) -> list[Mapping[str, str]]:
    turns = row["messages"]
    if not turns or any(turn["role"] is None or turn["content"] is None for turn in turns):
        raise BadRow("null")
    found: list[Mapping[str, str]] = turns
    return found


def _text(row: Row, name: str) -> str:
    if row[name] is None:
        raise BadRow("null")
    return str(row[name])


__all__ = ["BadChat", "BadRow", "Shape", "shape_of"]
