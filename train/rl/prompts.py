"""Prompts in the order of training: item i is the rows of a micro-batch, whose samples come later.

In: prompts as token ids with their answers; rows a step. Out: train.trainer.Batches.
Shown by: any `use: train, kind: rl`.
Limit: an item has the numbers of its prompts only; train.rl.trainer has the policy write to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from gristmill.errors import RecipeError
from mixtures.tokens.chat import Turn
from train.trainer import Batch


@dataclass(frozen=True, slots=True)
class Prompt:
    """One row of kind `prompt`."""

    ids: list[int]  # as the model is prompted with it
    text: str
    answer: str
    verifier: str
    name: str  # for people: source/id
    turns: Sequence[Turn] = ()  # what stands before an answer; none: the text as a user's turn


class PromptBatches:
    """`rows[step]` are the numbers of a step's prompts; each batch of samples is learnt from
    `updates` times, a step each."""

    unit = "rows"

    def __init__(
        self, prompts: Sequence[Prompt], rows: Sequence[Sequence[int]], parts: int, updates: int
    ) -> None:
        self.prompts = prompts
        self.per_step = parts
        self.updates = updates
        self.steps = len(rows) * updates
        self._rows = rows
        if rows and len(rows[-1]) < parts:
            raise RecipeError(
                f"the last step has {len(rows[-1])} prompts for {parts} micro-batches (run.ranks "
                "and run.micro_batch); choose data.batch or data.epochs so that it has as many"
            )

    def __len__(self) -> int:
        return self.steps * self.per_step

    def __getitem__(self, number: int) -> Batch:
        """int64 `prompts` [b], and `places` [b]: which of the step's rows they are."""
        step, part = divmod(number, self.per_step)
        rows = self._rows[step // self.updates]
        first, last = (len(rows) * n // self.per_step for n in (part, part + 1))
        return {"prompts": torch.tensor(rows[first:last]), "places": torch.arange(first, last)}

    def before(self, step: int) -> int:
        whole, part = divmod(step, self.updates)
        done = sum(len(rows) for rows in self._rows[:whole])
        return done + (len(self._rows[whole]) * part // self.updates if part else 0)

    def named(self, step: int) -> list[str]:
        return [self.prompts[number].name for number in self._rows[step // self.updates]]
