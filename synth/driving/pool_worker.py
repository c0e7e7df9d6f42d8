"""A process of the work pool: functions by name, one at a time; it dies with its parent.

In: length-prefixed pickles on stdin: the parent's `sys.path`, then `(function, args)`. Out: on
stdout likewise: READY, then for each call BEGAN and `(True, result)` or `(False, error)`.
Shown by: `python -m pytest tests/synth/test_pool.py`. Limit: results are pickled whole.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import queue
import signal
import struct
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import IO, Any

HEADER = struct.Struct("<Q")
READY, BEGAN = "ready", "began"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def pack(message: Any) -> bytes:
    """One message as bytes."""
    raw = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(len(raw)) + raw


def named(function: str) -> Callable[..., Any]:
    """`module:function`, imported."""
    module, _, name = function.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


def _listen(stream: IO[bytes], inbox: queue.SimpleQueue[Any]) -> None:
    while True:
        header = stream.read(HEADER.size)
        if len(header) < HEADER.size:
            os._exit(0)  # the parent has gone
        raw = stream.read(HEADER.unpack(header)[0])
        inbox.put(raw)


def _die_with_parent() -> None:
    """A function that never lets go of the interpreter would not see the parent leave."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Serve calls until stdin closes."""
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what functions print must not enter the protocol
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, inbox), daemon=True).start()
    sys.path[:] = pickle.loads(inbox.get())

    def send(message: Any) -> None:
        answers.write(pack(message))
        answers.flush()

    send(READY)
    while True:
        try:
            function, args = pickle.loads(inbox.get())
            call = named(function)
            send(BEGAN)
            raw = pack((True, call(*args)))
        except Exception as error:
            raw = pack((False, f"{type(error).__name__}: {error}"))
        answers.write(raw)
        answers.flush()


if __name__ == "__main__":
    main()
