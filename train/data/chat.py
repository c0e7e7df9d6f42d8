"""Rows as chats: what stands before an answer, and the answer, by the columns that a row has.

In: transformers' tokenizer with a chat template, a row. Out: turns, parts, token ids.
Shown by: `python -m pytest tests/mixtures/tokens/test_chat.py`. Limit: see mixtures.tokens.chat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mixtures.tokens.chat import Parts, Turn, chat_parts, render


def turns_of(row: Mapping[str, Any]) -> list[Turn]:
    """What stands before an answer: the column `messages`, or `prompt` as a user's turn."""
    if row.get("messages") is not None:
        return list(row["messages"])
    return [{"role": "user", "content": row["prompt"]}]


def prompt_text(tokenizer: Any, row: Mapping[str, Any]) -> str:
    """What an engine would give the model to answer a row's prompt."""
    return render(tokenizer, turns_of(row), True)


def prompt_ids(tokenizer: Any, row: Mapping[str, Any]) -> list[int]:
    """Token ids of a row's prompt, with what begins an answer."""
    text = prompt_text(tokenizer, row)
    ids: list[int] = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def answer_parts(tokenizer: Any, turns: Sequence[Turn], answer: str) -> Parts:
    """A prompt and one answer to it, which alone is learnt."""
    return chat_parts(tokenizer, [*turns, {"role": "assistant", "content": answer}], last=True)
