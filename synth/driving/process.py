"""What a generating process asks of its interpreter: rare collections, a flush at Ctrl-C.

In: the logs of a run. Out: two context managers around the driver's loop.
Shown by: `python -m pytest tests/synth/test_interrupt.py`.
Limit: both act on the whole process, so the step uses them and `run_flow` does not.
"""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from synth.driving.log import Logs

YOUNG = (
    20_000  # objects between collections: by default 700 (with some 10^5 under way: +20 µs a row)
)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Collect garbage seldom: tens of thousands of live objects make each collection slow."""
    before = gc.get_threshold()
    gc.set_threshold(YOUNG, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def flushed_at_interrupt(logs: Logs) -> Iterator[None]:
    """In a worker, which its driver ends right after Ctrl-C: flush at the next turn of the loop.

    Elsewhere Ctrl-C is an exception, and the driver's loop flushes as it ends.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        yield
        return

    def hurry(*_: Any) -> None:
        logs.hurried = True

    signal.signal(signal.SIGINT, hurry)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
