"""The optimiser of a stage.

In: `optim: {name: adamw, lr: 3e-4, weight_decay: 0.1, clip: 1}`. Out: Optim.
Shown by: `gristmill plan`. Limit: one learning rate for all weights.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from train.spec.base import Spec


class OnlineMerge(Spec):
    """Online Merging Optimizer (Lu et al. 2024, arXiv:2405.17931): each update is merged with the
    difference of the reference (SFT) and the base model, so that alignment forgets less."""

    base: str  # a model of the store: the one before SFT
    method: Literal["dare", "ties"] = "dare"
    density: float = Field(default=0.01, gt=0, le=1)  # share of each update's entries that are kept
    weight: float = Field(default=1e-7, ge=0, le=1)  # of the reference's difference


class Optim(Spec):
    """Names and numbers as papers print them."""

    name: Literal["adamw", "sgd", "rmsprop", "muon"] = "adamw"
    lr: float = Field(default=3e-4, gt=0)  # the peak: the schedule multiplies it
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = Field(default=1e-8, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)  # of sgd, rmsprop and muon
    weight_decay: float = Field(default=0.1, ge=0)  # of matrices, but not of embeddings
    clip: float = Field(default=1.0, ge=0)  # global gradient norm; 0: none
    merge: OnlineMerge | None = None
