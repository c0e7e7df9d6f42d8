"""Weights of a model on disk, a tensor at a time.

In: a Folder. Out: tensors, read when asked. Shown by: `use: checkpoint`.
Limit: a tensor is read whole; the largest (an embedding) sets the memory.
"""

from __future__ import annotations

from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from train.weights.folder import Folder


class Model:
    """Tensors of a folder; a file stays open (mapped, not read) once it was asked."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._open: dict[str, Any] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.folder.tensors

    def raw(self, name: str) -> Tensor:
        """A tensor as it is stored."""
        file = self.folder.files[name]
        if file not in self._open:
            self._open[file] = safe_open(self.folder.path / file, framework="pt")
        found: Tensor = self._open[file].get_tensor(name)
        return found

    def __getitem__(self, name: str) -> Tensor:
        """A tensor in float64, in which operations add up; integers and booleans as they are."""
        found = self.raw(name)
        return found.to(torch.float64) if found.is_floating_point() else found
