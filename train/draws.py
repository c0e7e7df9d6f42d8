"""Random numbers of a stage that stay as they were while something else draws.

In: a block of code. Out: Python's, numpy's and torch's generators as they were before it.
Shown by: `python -m pytest tests/train/loop/test_conditions.py`.
Limit: of GPUs, the one device that is named.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_CPU = torch.device("cpu")


@contextmanager
def draws_kept(device: torch.device = _CPU) -> Iterator[None]:
    """Looks at a model, and engines beside it, leave the training's draws (dropout's) alone."""
    python, numbers = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numbers)
