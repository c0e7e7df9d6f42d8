"""What a worker still does when its driver has gone: callbacks, run once before it exits.

In: a callback, for as long as a block runs. Out: nothing. Shown by: Ctrl-C during `gristmill run`
of a `synthesize` step. Limit: `kill -9` of the worker itself runs nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

_CALLBACKS: list[Callable[[], None]] = []


@contextlib.contextmanager
def at_parting(callback: Callable[[], None]) -> Iterator[None]:
    """Have `callback` run, from another thread, if the driver goes within the block."""
    _CALLBACKS.append(callback)
    try:
        yield
    finally:
        _CALLBACKS.remove(callback)


def part() -> None:
    """Run all callbacks; one that fails does not stop the others."""
    for callback in list(_CALLBACKS):
        with contextlib.suppress(Exception):
            callback()
