"""Prompts as token ids: the chat template and tokenizer of a local model folder, in batches.

In: Generate, ScoreTokens and Reward calls. Out: Ready requests with their keys, or typed failures.
Shown by: `python -m pytest tests/synth/engines/test_rendering.py`.
Limit: special tokens that stand in a document as text are taken for special tokens, as the
libraries do by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from gristmill.errors import RecipeError
from synth.calls import (
    Failure,
    Generate,
    Message,
    Model,
    ModelCall,
    Ready,
    Reward,
    ScoreTokens,
    request_key,
)

_SENTINEL = "GristmillUserTurnBeginsHere"
# Templates that print today's date (Llama 3.1's) would give another prompt, and so another key,
# every day. This is the date that Llama's template itself falls back to.
_TODAY = date(2024, 7, 26)


@dataclass(slots=True)
class Rendering:
    """A tokenizer and what is derived from it once."""

    name: str  # of the model, for messages
    tokenizer: Any
    max_len: int
    template_args: dict[str, Any] = field(default_factory=dict)
    start_ids: list[int] = field(default_factory=list)  # what begins every raw text, e.g. BOS
    stop_ids: tuple[int, ...] = ()  # that end a completion

    def prepare(self, model: Model, calls: Sequence[ModelCall]) -> list[Ready | Failure]:
        """Render, tokenise in one batch, check the length, give keys; answers in call order."""
        out: list[Ready | Failure | None] = [None] * len(calls)
        texts: dict[bool, list[tuple[int, str]]] = {False: [], True: []}  # by "raw text"
        for index, call in enumerate(calls):
            found = self._text(call)
            if isinstance(found, Failure):
                out[index] = found
            elif found is not None:
                texts[_is_raw(call)].append((index, found))
            else:
                out[index] = self._ready(model, call, list(getattr(call, "tokens", None) or ()))
        for raw, group in texts.items():
            encoded = self._encode([text for _, text in group], whole=False)
            for (index, text), encoding in zip(group, encoded, strict=True):
                call, ids = calls[index], encoding.ids
                if raw:
                    call, ids = self._begin(call, text, encoding)
                out[index] = self._ready(model, call, ids)
        return [found for found in out if found is not None]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of a completion, special tokens left out."""
        text: str = self.tokenizer.backend_tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def completion(self, ids: Sequence[int], reason: str, stop: str = "") -> str:
        """Its text up to a stop string, and without half a character where max_tokens cut one."""
        text = self.decode(ids)
        if stop:
            return text.partition(stop)[0]
        return text.rstrip("\ufffd") if reason == "length" else text

    def _text(self, call: ModelCall) -> str | Failure | None:
        """What is to be tokenised; None where the call brings token ids."""
        if isinstance(call, ScoreTokens):
            return None if call.tokens is not None else call.prefix_text + (call.text or "")
        if call.messages is not None:
            open_turn = isinstance(call, Generate) and call.prefix == "user"
            return self._chat(call.messages, open_turn, isinstance(call, Generate))
        if isinstance(call, Generate) and call.prefix == "user":
            return self._chat((), True, True)
        return call.text if getattr(call, "tokens", None) is None else None

    def _chat(self, messages: Sequence[Message], open_turn: bool, generate: bool) -> str | Failure:
        if not self.tokenizer.chat_template:
            raise RecipeError(
                f"model {self.name!r} has no chat template, so it cannot answer a chat; use a "
                "model tuned for chat, add chat_template.jinja to its folder, or give raw text"
            )
        turns = list(messages)
        if open_turn:
            turns.append({"role": "user", "content": _SENTINEL})
        resume = generate and not open_turn and turns and turns[-1]["role"] == "assistant"
        try:
            text: str = self.tokenizer.apply_chat_template(
                turns,
                tokenize=False,
                add_generation_prompt=generate and not open_turn and not resume,
                continue_final_message=bool(resume),
                **{"strftime_now": _TODAY.strftime, **self.template_args},
            )
        except Exception as error:  # a template may raise what it likes: it is a program
            return Failure("template", f"chat template: {error}")
        if not open_turn:
            return text
        head, found, _ = text.partition(_SENTINEL)
        if not found:
            return Failure("template", "the chat template does not print a user's content")
        # Tokenizers join a space with the word after it, so a lone one would be out of place.
        return head.removesuffix(" ")

    def _encode(self, texts: list[str], whole: bool) -> list[Any]:
        encoded: list[Any] = self.tokenizer.backend_tokenizer.encode_batch(
            texts, add_special_tokens=whole
        )
        return encoded

    def _begin(self, call: ModelCall, text: str, encoding: Any) -> tuple[ModelCall, list[int]]:
        """Put what begins a text before it, once; of a scored text find the first token."""
        ids: list[int] = encoding.ids
        if isinstance(call, Reward):  # a classifier's own frame, [CLS] … [SEP] or none
            return call, self._encode([text], whole=True)[0].ids
        head = self.start_ids if ids[: len(self.start_ids)] != self.start_ids else []
        if isinstance(call, ScoreTokens) and call.prefix_text:
            first = len(ids)
            for place in range(len(call.prefix_text), len(text)):
                token = encoding.char_to_token(place)
                if token is not None:  # None: white space that the tokenizer dropped
                    first = token
                    break
            call = replace(call, start=max(1, first + len(head)))
        return call, head + ids

    def _ready(self, model: Model, call: ModelCall, ids: list[int]) -> Ready | Failure:
        new = call.sampling.max_tokens if isinstance(call, Generate) else 0
        if isinstance(call, ScoreTokens):
            call = call if call.start >= 1 else replace(call, start=1)
            if len(ids) <= call.start:
                return Failure("empty", f"nothing to score from token {call.start} of {len(ids)}")
        if not ids:
            return Failure("empty", "the prompt has no token")
        # Scoring leaves room for one token too: vLLM makes one whatever is asked.
        room = self.max_len - (0 if isinstance(call, Reward) else max(new, 1))
        if len(ids) > room:
            return Failure(
                "too_long",
                f"{len(ids)} prompt tokens and {new} of max_tokens do not fit "
                f"max_model_len {self.max_len}",
                request_key(model, call, ids),
            )
        return Ready(call, request_key(model, call, ids), ids, None, len(ids) + new)


def load_rendering(
    folder: Path, name: str, max_len: int, template_args: dict[str, Any] | None = None
) -> Rendering:
    """The tokenizer of a model folder; nothing is ever fetched."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise RecipeError(
            f"model {name!r} has no fast tokenizer (tokenizer.json); convert it once with "
            "`AutoTokenizer.from_pretrained(...).save_pretrained(...)`"
        )
    backend.no_truncation()  # tokenizer.json may carry what some training run had set
    backend.no_padding()
    return Rendering(
        name,
        tokenizer,
        max_len,
        dict(template_args or {}),
        _start_ids(backend),
        _stop_ids(tokenizer, folder),
    )


def _start_ids(backend: Any) -> list[int]:
    """Ids that the tokenizer puts before a text; what it puts behind would end the prompt."""
    plain = backend.encode("a", add_special_tokens=False).ids
    framed: list[int] = backend.encode("a", add_special_tokens=True).ids
    for index in range(len(framed)):
        if framed[index : index + len(plain)] == plain:
            return framed[:index]
    return []


def _stop_ids(tokenizer: Any, folder: Path) -> tuple[int, ...]:
    """End-of-text ids of the tokenizer and of the model's generation config, as vLLM joins them."""
    from transformers import GenerationConfig

    found: set[int] = set()
    if tokenizer.eos_token_id is not None:
        found.add(int(tokenizer.eos_token_id))
    if (folder / "generation_config.json").is_file():
        listed = GenerationConfig.from_pretrained(str(folder)).eos_token_id
        if listed is not None:
            found.update([listed] if isinstance(listed, int) else listed)
    return tuple(sorted(found))


def _is_raw(call: ModelCall) -> bool:
    """Raw text, not a rendered chat: the template writes a chat's BOS itself."""
    if isinstance(call, ScoreTokens):
        return True
    return call.messages is None and getattr(call, "prefix", "") == ""
