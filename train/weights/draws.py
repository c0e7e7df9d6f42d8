"""Random numbers that are a pure function of a seed and a name.

In: a seed, names, a shape. Out: tensors, the same on any machine and for any number of threads.
Shown by: `dare`, `upcycle`. Limit: about 50 million entries a second.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from gristmill.rng import derive_seed, keyed_uniform

_BLOCK = 1 << 22  # entries at a time: what a draw takes beside its result stays small


def uniform(shape: Sequence[int], seed: int, *names: str | int) -> Tensor:
    """float64[shape] in [0, 1), each entry on its own."""
    drawn = derive_seed(seed, *names)
    return _filled(shape, lambda keys: keyed_uniform(drawn, keys))


def normal(shape: Sequence[int], seed: int, *names: str | int) -> Tensor:
    """float64[shape]: standard normal numbers, by the Box-Muller transform of two uniform draws."""
    one, two = derive_seed(seed, *names, "radius"), derive_seed(seed, *names, "angle")

    def draw(keys: np.ndarray) -> np.ndarray:
        radius = np.sqrt(-2 * np.log1p(-keyed_uniform(one, keys)))
        return np.asarray(radius * np.cos(2 * np.pi * keyed_uniform(two, keys)))

    return _filled(shape, draw)


def _filled(shape: Sequence[int], draw: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    count = math.prod(shape)
    found = np.empty(count, np.float64)
    for start in range(0, count, _BLOCK):
        keys = np.arange(start, min(start + _BLOCK, count), dtype=np.uint64)
        found[start : start + len(keys)] = draw(keys)
    return torch.from_numpy(found).reshape(tuple(shape))
