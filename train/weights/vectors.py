"""Tensors as vectors: angles and distances, for operations and their report.

In: tensors of one shape. Out: numbers. Shown by: the report of `use: checkpoint`.
Limit: float64 sums; the last digits depend on the machine, so reports round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def norm(one: Tensor) -> float:
    """Euclidean length."""
    return math.sqrt(float((one * one).sum()))


def angle(one: Tensor, two: Tensor) -> float:
    """Degrees between two vectors; 0 where one of them is 0.

    By the half-angle form, which keeps small angles that the arc cosine would lose.
    """
    first, second = norm(one), norm(two)
    if first == 0 or second == 0:
        return 0.0
    left, right = one / first, two / second
    return math.degrees(2 * math.atan2(norm(left - right), norm(left + right)))


def nth_largest(parts: Callable[[], Iterable[Tensor]], n: int) -> float:
    """The n-th largest of the numbers in several tensors, float64 and not below 0, exactly.

    `parts` is called four times; memory is one tensor. The bits of such numbers, read as whole
    ones, have their order: of each 16 of them in turn, the counts tell which the number has.
    """
    import torch

    found = 0
    for shift in (48, 32, 16, 0):
        counts = torch.zeros(1 << 16, dtype=torch.int64)
        for part in parts():
            bits = part.contiguous().flatten().view(torch.int64)
            if shift < 48:
                bits = bits[bits >> (shift + 16) == found]
            counts += torch.bincount((bits >> shift) & 0xFFFF, minlength=1 << 16)
        reached = counts.flip(0).cumsum(0)  # how many have this digit or a larger one
        place = int((reached < n).count_nonzero())
        digit = (1 << 16) - 1 - place
        n -= int(reached[place] - counts[digit])
        found = found << 16 | digit
    return float(torch.tensor(found, dtype=torch.int64).view(torch.float64))
