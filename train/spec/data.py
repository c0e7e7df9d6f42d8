"""The data of a stage: a mixture by its name, or rows of the store.

In: `data: mix/pretrain`, or `data: {rows: synth/chat, batch: 64, epochs: 2}`. Out: the name, or
Rows. Shown by: `gristmill plan`. Limit: rows are read whole once, to be tokenised and ordered.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from train.spec.base import Names, Spec


class Rows(Spec):
    """Rows that are tokenised before the first step: chat, preference, prompt, teacher."""

    rows: Names  # datasets, one after the other before they are shuffled
    where: str | None = None  # SQL over their columns
    batch: int = Field(default=32, ge=1)  # rows an optimiser step
    epochs: float = Field(default=1.0, gt=0)  # each in an order of its own
    max_length: int = Field(default=2048, ge=2)  # tokens of a row, prompt and answer together
    too_long: Literal["drop", "cut"] = "drop"  # counted either way; cut: the answer's end
    order: Literal["shuffle", "given"] = "shuffle"
    template: str | None = None  # a chat template's file; default: the tokenizer's, else ours

    def files(self) -> list[str]:
        """Files on disk whose content decides."""
        return [self.template] if self.template else []


Data = str | Rows
