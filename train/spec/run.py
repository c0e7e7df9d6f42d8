"""How a stage is run: what is watched, saved and refused; where it runs.

In: `run: {micro_batch: 4, ranks: 8, save_every: 0.1}`. Out: Run, Guard, HeldOut.
Shown by: `gristmill plan`. Limit: several machines share the store's file system.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from gristmill.errors import RecipeError
from mixtures.blend.schedule import Position
from train.spec.base import Spec, spacing


class Run(Spec):
    """Nothing here changes which rows a step sees, so nothing here is in the fingerprint."""

    # Rows a forward pass; default: the whole batch.
    micro_batch: int | None = Field(default=None, ge=1)
    ranks: int = Field(default=1, ge=1)  # processes
    # Whether ranks share the weights (FSDP2) or each has them whole (DDP); default: share on GPUs.
    shard: bool | None = None
    # Machines: with more than one, the step says which command to start on each, and waits.
    nodes: int = Field(default=1, ge=1)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    # Of a process on the CPU; default: all cores / ranks.
    threads: int | None = Field(default=None, ge=1)
    machine: str | None = None  # what `gristmill plan` forecasts for: h100x8, …; default: this one
    save_every: Position = 0.1  # distance of two checkpoints to go on from: a part, or an amount
    keep_optimizer: bool = False  # beside the weights, for `init: {optimizer: carry}`
    log_every: int = Field(default=1, ge=1)  # optimiser steps from one line of the log to the next
    log_to: tuple[Literal["tensorboard", "trackio"], ...] = ()
    compile: bool = False
    checkpointing: bool = False  # of activations
    fused_loss: bool = False  # cross-entropy in pieces, without the whole of the logits

    @model_validator(mode="after")
    def _fits(self) -> Run:
        spacing(self.save_every, "run.save_every")
        if self.ranks % self.nodes:
            raise RecipeError(
                f"run.ranks is {self.ranks} on {self.nodes} machines: each has as many; ranks is "
                "their sum"
            )
        if self.shard and self.ranks == 1:
            raise RecipeError(
                "run.shard is true, and one rank has nobody to share the weights with: write "
                "`ranks: 2` or more, or leave `shard` out"
            )
        return self


class Guard(Spec):
    """What stops a stage, with the rows of the step named. NaN and infinity always do."""

    # Loss above its running mean, in running standard deviations.
    spike: float | None = Field(default=None, gt=0)
    patience: int = Field(default=3, ge=1)  # steps in a row above `spike` or `norm`
    norm: float | None = Field(default=None, gt=0)  # gradient norm, before it is clipped


class HeldOut(Spec):
    """A loss over rows that are not trained on, on the way and at the end."""

    data: str  # a mixture
    every: Position = 0.25
    rows: int | None = Field(default=None, ge=1)  # the first ones; default: all

    @model_validator(mode="after")
    def _fits(self) -> HeldOut:
        spacing(self.every, "held_out.every")
        return self
