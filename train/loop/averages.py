"""Averages of the weights within a stage: of its last points, or exponential.

In: the weights after each step. Out: their average, which the stage leaves instead of the last.
Shown by: `average: {kind: uniform, last: 5}`.
Limit: only what learns is averaged; ema looks at each step, so it is refused where ranks share the
weights.

uniform: the mean of `last` points, `every` apart, the last of them the stage's end. Points lie as
files in the work folder and outlive a kill. ema: e <- e + (1 - decay) (w - e) after each step, from
the weights before the first (as in train.weights.ops.ema); it is a file of each checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file, save_file

from gristmill.fs import flush_to_disk
from train.spec import Average

Weights = dict[str, torch.Tensor]
EMA = "average.safetensors"


class Averager(Protocol):
    """What the loop tells, and asks at the end."""

    def begin(self, weights: Weights, checkpoint: Path | None) -> None:
        """Before the first step, or from a checkpoint on."""

    def wants(self, step: int) -> bool:
        """Whether the weights after `step` steps are to be seen."""

    def see(self, step: int, weights: Weights) -> None:
        """The weights after `step` steps."""

    def save(self, checkpoint: Path) -> None:
        """Into a checkpoint that is about to be published."""

    def result(self, weights: Weights) -> Weights:
        """The average; `weights`: those of the end."""


class Uniform:
    """The mean of points."""

    def __init__(self, steps: Iterable[int], folder: Path) -> None:
        self.steps, self.folder = sorted(set(steps)), folder

    def begin(self, weights: Weights, checkpoint: Path | None) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def wants(self, step: int) -> bool:
        return step in self.steps[:-1]

    def see(self, step: int, weights: Weights) -> None:
        fresh = self.folder / f"{step}.new"
        save_file(_whole(weights), fresh)
        flush_to_disk(fresh)
        os.replace(fresh, self.folder / f"{step}.safetensors")

    def save(self, checkpoint: Path) -> None:
        flush_to_disk(self.folder)

    def result(self, weights: Weights) -> Weights:
        sums = {name: tensor.detach().cpu().double() for name, tensor in weights.items()}
        for step in self.steps[:-1]:
            for name, tensor in load_file(self.folder / f"{step}.safetensors").items():
                sums[name] += tensor
        return {
            name: (total / len(self.steps)).to(weights[name].dtype) for name, total in sums.items()
        }


class Ema:
    """An exponential moving average, a step of it an optimiser step."""

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self._mean: Weights = {}

    def begin(self, weights: Weights, checkpoint: Path | None) -> None:
        self._mean = {name: tensor.detach().clone() for name, tensor in weights.items()}
        if checkpoint is not None:
            for name, tensor in load_file(checkpoint / EMA).items():
                self._mean[name].copy_(tensor)

    def wants(self, step: int) -> bool:
        return True

    def see(self, step: int, weights: Weights) -> None:
        mean = [self._mean[name] for name in weights]
        torch._foreach_lerp_(mean, [w.detach() for w in weights.values()], 1 - self.decay)

    def save(self, checkpoint: Path) -> None:
        save_file(_whole(self._mean), checkpoint / EMA)

    def result(self, weights: Weights) -> Weights:
        return self._mean


def open_average(spec: Average, steps: Iterable[int], folder: Path) -> Averager:
    """`steps`: those of the points of `uniform`."""
    return Uniform(steps, folder) if spec.kind == "uniform" else Ema(spec.decay)


def _whole(weights: Weights) -> Weights:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
