"""Rows of tokens for training: lessons that begin alike share their beginning.

In: lessons, by prompt. Out: rows with segment numbers, positions and targets. Shown by:
`python -m pytest tests/synth/test_tiny.py`. Limit: rows are as long as the longest, others padded.

A recipe's prompt is long and its document short. Several lessons of one prompt are laid out as
one shared beginning and a branch for each; a mask lets a branch see the beginning and itself. So
a lesson costs its document and answer, not the whole prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.synth.tiny.lessons import Lesson

IGNORED = -100


@dataclass(slots=True)
class Tokens:
    """One lesson: its prompt and its completion."""

    prompt: list[int]
    answer: list[int]


@dataclass(slots=True)
class Line:
    """A row under construction. `group` and `branch` (0: shared) say who sees whom."""

    ids: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)  # of the next token; IGNORED in prompts
    positions: list[int] = field(default_factory=list)
    group: list[int] = field(default_factory=list)
    branch: list[int] = field(default_factory=list)
    groups: int = 0

    def with_lessons(self, lessons: Sequence[Tokens]) -> Line:
        """This row and some lessons of one prompt: what they share, then each one's own part."""
        line = Line([*self.ids], [*self.targets], [*self.positions], [*self.group], [*self.branch])
        line.groups = self.groups
        line._add(lessons)
        return line

    def _add(self, lessons: Sequence[Tokens]) -> None:
        shared = common([lesson.prompt for lesson in lessons])
        first = lessons[0].prompt[:shared]
        self.groups += 1
        self._piece(first, [IGNORED] * shared, 0, 0)
        for number, lesson in enumerate(lessons, 1):
            own = lesson.prompt[shared:]
            ids = [*own, *lesson.answer]
            targets = [*[IGNORED] * (len(own) - 1), *lesson.answer, IGNORED]
            self._piece(ids, targets, shared, number)

    def _piece(self, ids: list[int], targets: list[int], start: int, branch: int) -> None:
        self.ids += ids
        self.targets += targets
        self.positions += range(start, start + len(ids))
        self.group += [self.groups] * len(ids)
        self.branch += [branch] * len(ids)


def common(prompts: Sequence[list[int]]) -> int:
    """Tokens that all begin with; at least the last one of each stays its own."""
    least = min(len(prompt) for prompt in prompts) - 1
    low, high = min(prompts), max(prompts)
    return next((i for i in range(least) if low[i] != high[i]), least)


def encode(tokenizer: Any, lesson: Lesson) -> Tokens:
    """Through the chat template. Without messages the user's turn is what is learnt."""
    if lesson.messages:
        prompt = tokenizer.apply_chat_template(
            list(lesson.messages), tokenize=False, add_generation_prompt=True
        )
    else:
        prompt = "<|user|>\n"
    answer = tokenizer.encode(lesson.answer, add_special_tokens=False)
    return Tokens(
        tokenizer.encode(prompt, add_special_tokens=False),
        [*answer, tokenizer.eos_token_id] if lesson.ends else answer,
    )


def collate(lines: Sequence[Line], pad: int) -> dict[str, Any]:
    """Tensors: ids, positions, targets [rows, length]; visible [rows, 1, length, length]."""
    import torch

    length = max(len(line.ids) for line in lines)

    def table(name: str, filler: int) -> Any:
        rows = [getattr(line, name) for line in lines]
        return torch.tensor([row + [filler] * (length - len(row)) for row in rows])

    group, branch = table("group", 0), table("branch", 0)
    same = group[:, :, None] == group[:, None, :]
    seen = (branch[:, None, :] == 0) | (branch[:, :, None] == branch[:, None, :])
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    return {
        "ids": table("ids", pad),
        "positions": table("positions", 0),
        "targets": table("targets", IGNORED),
        "visible": (same & seen & causal)[:, None],
    }
