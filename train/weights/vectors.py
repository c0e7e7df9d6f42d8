"""Tensors as vectors: angles and distances, for operations and their report.

In: tensors of one shape. Out: numbers. Shown by: the report of `use: checkpoint`.
Limit: float64 sums; the last digits depend on the machine, so reports round.
"""

from __future__ import annotations

import math
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
