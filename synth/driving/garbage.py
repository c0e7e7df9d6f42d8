"""Rare garbage collections while tens of thousands of flows are under way.

In: nothing. Out: a context manager around the driver's loop.
Shown by: `python -m bench.synth_overhead`.
Limit: it acts on the whole process, so the step uses it and `run_flow` does not.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Objects between collections: by default 700, which with some 10^5 under way costs 20 µs a row.
YOUNG = 20_000


@contextmanager
def rare_collections() -> Iterator[None]:
    """Collect garbage seldom: tens of thousands of live objects make each collection slow."""
    before = gc.get_threshold()
    gc.set_threshold(YOUNG, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
