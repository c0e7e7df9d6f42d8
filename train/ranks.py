"""What the processes of a run tell each other; the value itself where there is one.

In: a tensor, a flag, a value. Out: the same on every rank. Shown by: `run: {ranks: 2}`.
Limit: each call waits for the slowest rank.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import distributed

T = TypeVar("T")


def _alone() -> bool:
    return not distributed.is_initialized() or distributed.get_world_size() == 1


def summed(part: torch.Tensor) -> torch.Tensor:
    """The sum over ranks."""
    if _alone():
        return part
    found = part.clone()
    distributed.all_reduce(found)
    return found


def any_rank(flag: bool) -> bool:
    """Whether a rank says yes."""
    if _alone():
        return flag
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    return bool(summed(torch.tensor(int(flag), device=device)).item())


def of_first(found: T) -> T:
    """What the first rank has."""
    if _alone():
        return found
    shared = [found]
    distributed.broadcast_object_list(shared, src=0)
    return shared[0]
