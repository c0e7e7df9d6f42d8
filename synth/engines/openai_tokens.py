"""A local copy of the server's tokenizer: prompts become token ids here, keys are over those ids.

In: messages or text. Out: token ids as the server would make them, and where a score begins.
Shown by: `python -m pytest tests/synth/engines/test_openai_vllm.py -k tokenizer`.
Limit: nothing proves that the server has the same tokenizer; give the folder that it serves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gristmill.errors import RecipeError
from synth.calls import Message

FILES = (  # what decides token ids and the chat template
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
)
MARK = "\x02gristmill\x03"  # stands for what a user would write; no template contains it


def tokenizer_digest(folder: str) -> str:
    """32 hex digits of the files that decide ids and template."""
    state = hashlib.sha256()
    for name in FILES:
        path = Path(folder) / name
        if path.is_file():
            state.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()[:32]


class LocalTokenizer:
    """A transformers tokenizer of a folder; nothing is downloaded."""

    def __init__(self, folder: str) -> None:
        from transformers import AutoTokenizer

        self._folder = folder
        try:
            self._core: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise RecipeError(
                f"tokenizer is {folder!r}, which does not load ({str(error)[:200]}); give the "
                "folder with the tokenizer.json of the served model"
            ) from None

    def chat(self, chat: Sequence[Message], options: dict[str, Any], reply: bool) -> str:
        """A conversation by the chat template; `reply`: up to where the assistant begins.

        Raises whatever the template raises for messages that it does not take.
        """
        return str(
            self._core.apply_chat_template(
                list(chat), tokenize=False, add_generation_prompt=reply, **options
            )
        )

    def texts(self, texts: Sequence[str], special: bool) -> list[list[int]]:
        """Ids of texts; with what the tokenizer puts around them (BOS) if `special`."""
        if not texts:
            return []
        ids: list[list[int]] = self._core(list(texts), add_special_tokens=special)["input_ids"]
        return ids

    def scored(self, prefix: str, text: str) -> tuple[list[int], int]:
        """Ids of prefix + text, and the first of them that reaches beyond the prefix."""
        found = self._core(prefix + text, return_offsets_mapping=True)
        ids: list[int] = found["input_ids"]
        ends = [end for _, end in found["offset_mapping"]]
        start = next((i for i, end in enumerate(ends) if end > len(prefix)), len(ids))
        return ids, max(1, start)

    def before_user(self, chat: Sequence[Message], options: dict[str, Any]) -> str:
        """The chat up to where a further user's turn begins (Magpie, arXiv 2406.08464 §2)."""
        shown = self._core.apply_chat_template(
            [*chat, {"role": "user", "content": MARK}], tokenize=False, **options
        )
        before, found, _ = shown.partition(MARK)
        if not found:
            raise RecipeError(
                f"the chat template in {self._folder!r} does not show a user's text as it is, so "
                "`prefix: user` has no beginning; use another model"
            )
        return str(before)
