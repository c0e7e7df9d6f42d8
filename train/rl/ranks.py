"""Sums over the processes of a run; the value itself where there is one.

In: a tensor or a flag. Out: the same on every rank. Shown by: `torchrun` over any `kind: rl`.
Limit: each call waits for the slowest rank.
"""

from __future__ import annotations

import torch
from torch import distributed


def summed(part: torch.Tensor) -> torch.Tensor:
    """The sum over ranks."""
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return part
    found = part.clone()
    distributed.all_reduce(found)
    return found


def any_rank(flag: bool) -> bool:
    """Whether a rank says yes."""
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return flag
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    return bool(summed(torch.tensor(int(flag), device=device)).item())
