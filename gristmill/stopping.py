"""A request to stop (Ctrl-C, SIGTERM), noted until what is under way can be left without loss.

In: signals; `ask`, where another process has heard them. Out: `asked`, for who looks between two
pieces of work; Interrupted, raised when all is saved. Shown by: Ctrl-C during a `train` step.
Limit: signals are noted in a process's main thread; elsewhere they do what they always did.

A process that can be left so runs within `stoppable`; what runs in it calls `ready` when there will
be something to save. Before that, and the second time, a signal does what it always did.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGAIN = 1.0  # seconds: sooner it is the same request, which srun and timeout send twice


class Interrupted(KeyboardInterrupt):
    """Ended on request. As text: what is saved, for people; empty where there was nothing."""

    def __init__(self, saved: str = "", number: int = signal.SIGTERM) -> None:
        super().__init__(saved)
        self.number = number


@dataclass(slots=True)
class _Request:
    stoppable: bool = False
    ready: bool = False
    number: int | None = None  # of the signal, once there was one
    at: float = 0.0
    before: dict[int, Any] = field(default_factory=dict)  # handlers


_request = _Request()


@contextmanager
def stoppable() -> Iterator[None]:
    """A block that `ready` may be called in."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _request.stoppable = True
    try:
        yield
    finally:
        for number, handler in _request.before.items():
            signal.signal(number, handler)
        _request.stoppable = _request.ready = False
        _request.number = None
        _request.before.clear()


def ready() -> None:
    """From now on a request is noted, if this process is stoppable."""
    if not _request.stoppable or _request.ready:
        return
    for number in SIGNALS:
        # What is ignored stays so: a worker's SIGINT, that of a job in the background.
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            _request.before[number] = signal.signal(number, _note)
    _request.ready = True


def ask() -> bool:
    """Note a request that another process has heard; whether anything will heed it."""
    if _request.ready and _request.number is None:
        _request.number, _request.at = signal.SIGTERM, time.monotonic()
    return _request.ready


def asked() -> int | None:
    """The signal that asked to stop, if one did."""
    return _request.number


def _note(number: int, _: FrameType | None) -> None:
    if _request.number is None:
        _request.number, _request.at = number, time.monotonic()
    elif time.monotonic() - _request.at > AGAIN:
        signal.signal(number, _request.before[number])
        os.kill(os.getpid(), number)
