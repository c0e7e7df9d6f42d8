"""What a worker keeps between tasks because it is dear to load, and who gives it up on request.

In: callbacks that free memory. Out: `release()` calls them all. Shown by: a `train` step after a
`synthesize` step in one run. Limit: what is in use must not be registered as idle.
"""

from __future__ import annotations

from collections.abc import Callable

_IDLE: list[Callable[[], None]] = []


def on_release(callback: Callable[[], None]) -> None:
    """Have `callback` free what it can when another task needs the machine's memory."""
    if callback not in _IDLE:
        _IDLE.append(callback)


def release() -> None:
    """Free all that is idle in this process."""
    for callback in list(_IDLE):
        callback()
