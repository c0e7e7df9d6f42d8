"""How a stage is run: what is watched, saved and refused; where it runs.

In: `run: {micro_batch: 4, ranks: 8, save_every: 0.1}`. Out: Run, Guard, HeldOut.
Shown by: `gristmill plan`. Limit: more than one machine is `torchrun` by hand: docs/train.md.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mixtures.blend.schedule import Position
from train.spec.base import Spec


class Run(Spec):
    """Nothing here changes which rows a step sees, so nothing here is in the fingerprint."""

    micro_batch: int | None = Field(
        default=None, ge=1
    )  # rows a forward pass; default: the whole batch
    ranks: int = Field(default=1, ge=1)  # processes: FSDP2 on GPUs, gloo on a CPU
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(
        default=None, ge=1
    )  # of a process on the CPU; default: all cores / ranks
    machine: str | None = None  # what `gristmill plan` forecasts for: h100x8, …; default: this one
    save_every: Position = 0.1  # distance of two checkpoints to go on from: a part, or an amount
    keep_optimizer: bool = False  # beside the weights, for `init: {optimizer: carry}`
    log_every: int = Field(default=1, ge=1)  # optimiser steps
    log_to: tuple[Literal["tensorboard", "trackio"], ...] = ()
    compile: bool = False
    checkpointing: bool = False  # of activations
    fused_loss: bool = False  # cross-entropy in pieces, without the whole of the logits


class Guard(Spec):
    """What stops a stage, with the rows of the step named."""

    spike: float | None = Field(
        default=None, gt=0
    )  # loss above its running mean, in standard deviations
    patience: int = Field(default=3, ge=1)  # steps in a row
    norm: float | None = Field(default=None, gt=0)  # gradient norm; NaN and infinity always stop


class HeldOut(Spec):
    """A loss over rows that are not trained on, on the way and at the end."""

    data: str  # a mixture
    every: Position = 0.25
    rows: int | None = Field(default=None, ge=1)
