"""A reward model of the store as a judge: one number for a prompt and a completion.

In: a folder of a sequence classifier with one label, and its tokenizer. Out: float a conversation.
Shown by: `python -m pytest tests/train/rl/test_rewards.py`.
Limit: it lies on the policy's device, whole on each rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification

from gristmill.errors import RecipeError
from mixtures.tokens.chat import open_chat_tokenizer, render
from mixtures.tokens.tokenizers import FILES
from train.rl.prompts import Prompt

_ROWS = 64  # conversations of one pass


class RewardModel:
    """Called with prompts and completions."""

    def __init__(self, folder: Path, name: str) -> None:
        files = {file: (folder / file).read_bytes() for file in FILES if (folder / file).is_file()}
        self._tokenizer = open_chat_tokenizer(files)
        self._model = AutoModelForSequenceClassification.from_pretrained(folder, dtype="float32")
        if self._model.config.num_labels != 1:
            raise RecipeError(
                f"reward model {name!r} has {self._model.config.num_labels} labels; a reward has "
                "one: train it with `kind: reward` and bradley_terry"
            )
        self._model.eval().requires_grad_(False)
        self._model.to("cuda" if torch.cuda.is_available() else "cpu")

    def __call__(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[float]:
        found: list[float] = []
        for start in range(0, len(prompts), _ROWS):
            part = slice(start, start + _ROWS)
            rows = [self._ids(p, t) for p, t in zip(prompts[part], texts[part], strict=True)]
            with torch.no_grad():
                found += self._scores(rows)
        return found

    def _ids(self, prompt: Prompt, text: str) -> list[int]:
        asked = prompt.turns or [{"role": "user", "content": prompt.text}]
        turns = [*asked, {"role": "assistant", "content": text}]
        rendered = render(self._tokenizer, turns, False)
        ids: list[int] = self._tokenizer.backend_tokenizer.encode(
            rendered, add_special_tokens=False
        ).ids
        return ids

    def _scores(self, rows: list[list[int]]) -> list[float]:
        # The classifier looks for the last token that is not padding: padding is none of those.
        ends = {row[-1] for row in rows}
        filler = next(token for token in range(len(ends) + 1) if token not in ends)
        self._model.config.pad_token_id = filler
        width = max(len(row) for row in rows)
        ids = torch.tensor([row + [filler] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        device = self._model.device
        out = self._model(input_ids=ids.to(device), attention_mask=mask.to(device))
        values: list[float] = out.logits.double()[:, 0].tolist()
        return values
