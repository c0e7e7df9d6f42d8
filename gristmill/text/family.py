"""A family of signals: the names that rules may use, and the function that computes them.

In: a text column. Out: for each name an int64 array with one number a text.
Shown by: `python -m gristmill.text.signals "Some text."`, which prints every family.
Limit: names are global: two families may share one only if its numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Signals = dict[str, npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Family:
    """Signals that are computed together."""

    names: tuple[str, ...]
    compute: Callable[[pa.Array | pa.ChunkedArray], Signals]
