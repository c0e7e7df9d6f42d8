"""Batches that several steps learn from, on disk, so that a stage can go on between two of them.

In: the micro-batches of one batch of samples. Out: a file that gives the same ones back.
Shown by: `python -m pytest tests/train/rl/test_rl_stage.py`.
Limit: only where `rollout.updates` is above 1; a file a rank.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from train.trainer import Batch


class Held:
    """The batches of one rank, by the number of the batch of samples."""

    def __init__(self, folder: Path, rank: int) -> None:
        self._folder, self._rank = folder, rank

    def save(self, number: int, batches: Sequence[Batch]) -> None:
        """Write them whole, or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        flat = {
            f"{part}.{name}": tensor.contiguous()
            for part, batch in enumerate(batches)
            for name, tensor in batch.items()
        }
        file = self._file(number)
        unfinished = file.with_suffix(".part")
        save_file(flat, unfinished)
        os.replace(unfinished, file)

    def load(self, number: int, device: torch.device) -> list[Batch]:
        """As they were saved."""
        found: dict[int, Batch] = {}
        for name, tensor in load_file(self._file(number)).items():
            part, _, key = name.partition(".")
            found.setdefault(int(part), {})[key] = tensor.to(device)
        return [found[part] for part in sorted(found)]

    def forget(self, before: int) -> None:
        """Take away those that no checkpoint can need any more."""
        for file in self._folder.glob(f"*.{self._rank}.safetensors"):
            if int(file.name.partition(".")[0]) < before:
                file.unlink()

    def _file(self, number: int) -> Path:
        return self._folder / f"{number}.{self._rank}.safetensors"
