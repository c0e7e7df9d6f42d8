"""Stubborn functions in a process of their own, so that a verifier always comes back in time.

In: `module:function`, its arguments, seconds. Out: what it returns, or None past the time.
Shown by: `python -m pytest tests/synth/verify/test_maths_verifier.py`.
Limit: one call at a time; a flow's ops yield `Work` calls instead, which run side by side.

Symbolic mathematics can hang inside one C call, where no signal is heard: only a kill ends it.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from synth.calls import Answer, Work
from synth.driving.pool import WorkPool

_lock = threading.Lock()
_pools: dict[int, WorkPool] = {}  # by process: a fork must not speak to its parent's


def apart(function: str, args: tuple[Any, ...], seconds: float) -> Any:
    """Call a function elsewhere; None where it raises, dies or takes too long."""
    with _lock:
        pool = _pools.get(os.getpid())
        if pool is None:
            pool = _pools[os.getpid()] = WorkPool(1)
        pool.submit(0, Work(function, args, seconds))
        while True:
            for _, answer in pool.poll(seconds):
                return answer.value if isinstance(answer, Answer) else None
