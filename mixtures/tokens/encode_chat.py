"""Chats as token ids: parts of text, each encoded apart, with which tokens are learnt.

In: parts (mixtures.tokens.chat). Out: ids and a mask a chat. Shown by: `python -m pytest
tests/mixtures/tokens/test_chat.py`. Limit: of a chat with several answers, the history before the
second one is as the model wrote it, part by part; an engine that encodes the history as one text
may join letters over a turn's border where the template puts no special token there.

A part is encoded apart so that what stands before an answer is what an engine would prompt with: no
token then lies across the border, and no white space is split differently because of what follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mixtures.tokens.chat import Parts

_GUARD = "\n"


@dataclass(frozen=True, slots=True)
class Tokens:
    """A chat: its token ids, and of each whether it is learnt."""

    ids: list[int]
    learnt: list[bool]


@dataclass(frozen=True, slots=True)
class ChatEncoder:
    """A tokenizer of the `tokenizers` library, its special ids, and how it begins a text."""

    tokenizer: Any
    special: frozenset[int]
    guard: list[int] | None  # ids of _GUARD, for one that puts something before every text

    def encode(self, chats: Sequence[Parts]) -> list[Tokens]:
        """Part by part. What a template puts behind an answer's end token is not learnt."""
        texts = [
            (_GUARD if number and self.guard else "") + text
            for chat in chats
            for number, (text, _) in enumerate(chat)
        ]
        encoded = iter(self.tokenizer.encode_batch_fast(texts, add_special_tokens=False))
        found = []
        for chat in chats:
            ids: list[int] = []
            learnt: list[bool] = []
            for number, (_, counts) in enumerate(chat):
                own = self._unguarded(next(encoded).ids) if number else next(encoded).ids
                ids += own
                stop = self._end(own) if counts else 0
                learnt += [True] * stop + [False] * (len(own) - stop)
            found.append(Tokens(ids, learnt))
        return found

    def whole(self, chats: Sequence[Parts]) -> list[Tokens]:
        """As one text, as an engine encodes a conversation that it rates; nothing is learnt."""
        texts = ["".join(text for text, _ in chat) for chat in chats]
        encoded = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [Tokens(found.ids, [False] * len(found.ids)) for found in encoded]

    def _unguarded(self, ids: list[int]) -> list[int]:
        if self.guard and ids[: len(self.guard)] == self.guard:
            return ids[len(self.guard) :]
        return ids

    def _end(self, ids: list[int]) -> int:
        """Tokens of an answer up to the special one that ends it; all where none does."""
        last = next((n for n in range(len(ids), 0, -1) if ids[n - 1] in self.special), 0)
        if last and not self.tokenizer.decode(ids[last:]).strip():
            return last
        return len(ids)


def open_chat_encoder(tokenizer: Any) -> ChatEncoder:
    """The encoder of transformers' tokenizer, as `open_chat_tokenizer` gives it."""
    backend = tokenizer.backend_tokenizer

    def ids(text: str) -> list[int]:
        found: list[int] = backend.encode(text, add_special_tokens=False).ids
        return found

    special = {
        number for number, token in backend.get_added_tokens_decoder().items() if token.special
    }
    guarded = ids(_GUARD)
    plain = ids(_GUARD + "a") == guarded + ids("a")
    return ChatEncoder(backend, frozenset(special), None if plain else guarded)
