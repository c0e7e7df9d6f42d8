"""Stubborn functions in a process of their own, so that a verifier always comes back in time.

In: `module:function`, plain arguments, seconds. Out: what it returns, or None past the time.
Shown by: `python -m pytest tests/synth/verify/test_maths.py`.
Limit: one call at a time; a flow's ops yield `Work` calls instead, which run side by side.

Symbolic mathematics can hang inside one C call, where no signal is heard: only a kill ends it.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from importlib import import_module
from typing import Any

START_SECONDS = 60.0  # importing sympy takes seconds on a busy core
_lock = threading.Lock()
_processes: dict[int, subprocess.Popen[bytes]] = {}  # by the pid that started it: forks have theirs


def apart(function: str, args: tuple[Any, ...], seconds: float) -> Any:
    """Call a function of JSON values elsewhere; None where it fails or takes too long."""
    with _lock:
        process = _processes.get(os.getpid())
        if process is None or process.poll() is not None:
            process = _start()
            if process is None:
                return None
        answer = _ask(process, {"function": function, "args": args}, seconds)
        if answer is None:
            _end()
        return None if answer is None else answer["value"]


def _start() -> subprocess.Popen[bytes] | None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(
        [sys.executable, "-m", "synth.verify.apart"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env=environment,
    )
    _processes[os.getpid()] = process
    ready = _ask(process, {"function": "", "args": []}, START_SECONDS)
    if ready is None:
        _end()
        return None
    return process


def _end() -> None:
    process = _processes.pop(os.getpid(), None)
    if process is not None:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _ask(
    process: subprocess.Popen[bytes], question: dict[str, Any], seconds: float
) -> dict[str, Any] | None:
    if process.stdin is None or process.stdout is None:
        return None
    try:
        process.stdin.write(json.dumps(question).encode() + b"\n")
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([process.stdout], [], [], seconds)[0]:
                return None
            part = os.read(process.stdout.fileno(), 1 << 16)
            if not part:
                return None
            line += part
    except OSError:
        return None
    found: dict[str, Any] = json.loads(line)
    return found


def _serve() -> None:
    """Answer questions until the pipe closes. What a function prints goes nowhere."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        question = json.loads(line)
        value = None
        if question["function"]:
            module, _, name = question["function"].partition(":")
            try:
                value = getattr(import_module(module), name)(*question["args"])
            except Exception:  # whatever the function cannot do counts as no answer
                value = None
        replies.write(json.dumps({"value": value}).encode() + b"\n")
        replies.flush()


if __name__ == "__main__":
    _serve()
