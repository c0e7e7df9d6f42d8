"""A stage, opened: what train.loop runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from train.trainer import Batches, Objective

if TYPE_CHECKING:
    from transformers import PreTrainedModel, Trainer


@dataclass
class Stage:
    """A model, its micro-batches and its loss.

    `trainer` makes another trainer than StageTrainer (rl's): called with the keyword arguments of
    Trainer that train.loop settles. `notes`: what to say at the end.
    """

    model: PreTrainedModel
    batches: Batches
    objective: Objective | None = None
    trainer: Callable[[dict[str, Any]], Trainer] | None = None
    notes: Callable[[], list[str]] = list
