"""The work pool: slow or stubborn functions in other processes, each with a hard time limit.

In: Work calls. Out: an Answer whose `value` is the result, or a Failure: timeout, crashed.
Shown by: `python -m pytest tests/synth/test_pool.py`.
Limit: a call costs about 0.1 ms beside its function; what takes less belongs into the flow itself.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from synth.calls import Answer, Failure, Work
from synth.driving.pool_worker import BEGAN, HEADER, READY, pack

IMPORT_SECONDS = 120.0  # for a process to start and import the function's module

Found = tuple[int, Answer | Failure]


@dataclass(slots=True)
class _Process:
    """One process and the call that it has in hand."""

    popen: subprocess.Popen[bytes]
    buffer: bytearray = field(default_factory=bytearray)
    ready: bool = False
    ticket: int | None = None
    call: Work | None = None
    deadline: float = 0.0


class WorkPool:
    """`processes` at a time (default: a core each), started when calls come."""

    def __init__(self, processes: int | None = None) -> None:
        self._most = processes or len(os.sched_getaffinity(0))
        self.capacity = 4 * self._most  # some wait here, so that no process does
        self._waiting: deque[tuple[int, Work, bytes]] = deque()
        self._refused: list[Found] = []  # arguments that cannot be sent
        self._processes: list[_Process] = []
        self._selector = selectors.DefaultSelector()

    def submit(self, ticket: int, call: Work) -> None:
        try:
            message = pack((call.function, call.args))
        except Exception as error:
            failure = Failure("crashed", f"arguments: {type(error).__name__}: {error}")
            self._refused.append((ticket, failure))
            return
        self._waiting.append((ticket, call, message))
        self._assign()

    def poll(self, wait: float) -> list[Found]:
        found, self._refused = self._refused, []
        until = time.monotonic() + wait
        while True:
            now = time.monotonic()
            due = min((p.deadline for p in self._processes if p.call is not None), default=until)
            pause = 0.0 if found else max(0.0, min(until, due) - now)
            for key, _ in self._selector.select(pause):
                found += self._hear(key.data)
            found += self._overdue()
            self._assign()
            if found or time.monotonic() >= until:
                return found

    def abort(self, tickets: Sequence[int]) -> None:
        gone = set(tickets)
        self._waiting = deque(entry for entry in self._waiting if entry[0] not in gone)
        for process in [p for p in self._processes if p.ticket in gone]:
            self._end(process)

    def close(self) -> None:
        self._waiting.clear()
        for process in list(self._processes):
            self._end(process)

    def _assign(self) -> None:
        """Give waiting calls to idle processes; start processes while calls outnumber them."""
        idle = [p for p in self._processes if p.ready and p.call is None]
        while self._waiting and idle:
            process = idle.pop()
            process.ticket, process.call, message = self._waiting.popleft()
            process.deadline = time.monotonic() + IMPORT_SECONDS
            assert process.popen.stdin is not None
            with contextlib.suppress(OSError):  # it died: `_hear` sees its end
                process.popen.stdin.write(message)
                process.popen.stdin.flush()
        starting = sum(not p.ready for p in self._processes)
        while len(self._waiting) > starting and len(self._processes) < self._most:
            self._start()
            starting += 1

    def _start(self) -> None:
        environment = {**os.environ, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
        popen = subprocess.Popen(
            [sys.executable, "-m", "synth.driving.pool_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        assert popen.stdin is not None and popen.stdout is not None
        process = _Process(popen)
        popen.stdin.write(pack(sys.path))
        popen.stdin.flush()
        os.set_blocking(popen.stdout.fileno(), False)
        self._selector.register(popen.stdout, selectors.EVENT_READ, process)
        self._processes.append(process)

    def _hear(self, process: _Process) -> list[Found]:
        """Take what a process says; its end fails the call that it had."""
        assert process.popen.stdout is not None
        while True:
            try:
                block = os.read(process.popen.stdout.fileno(), 1 << 20)
            except BlockingIOError:
                break
            if not block:
                return self._ended(process)
            process.buffer += block
        found: list[Found] = []
        while len(process.buffer) >= HEADER.size:
            end = HEADER.size + HEADER.unpack_from(process.buffer)[0]
            if len(process.buffer) < end:
                break
            message = pickle.loads(process.buffer[HEADER.size : end])
            del process.buffer[:end]
            if message == READY:
                process.ready = True
            elif process.call is not None and message == BEGAN:
                process.deadline = time.monotonic() + process.call.seconds
            elif process.ticket is not None:
                done, value = message
                answer = Answer(value=value) if done else Failure("crashed", value)
                found.append((process.ticket, answer))
                process.ticket = process.call = None
        return found

    def _ended(self, process: _Process) -> list[Found]:
        ticket, code = process.ticket, process.popen.wait()
        starting = not process.ready
        self._end(process)
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        if ticket is not None:
            return [(ticket, Failure("crashed", f"its process was {how}"))]
        if starting and self._waiting:  # else processes that cannot start would be tried for ever
            return [(self._waiting.popleft()[0], Failure("crashed", f"no process starts: {how}"))]
        return []

    def _overdue(self) -> list[Found]:
        now = time.monotonic()
        found: list[Found] = []
        for process in [p for p in self._processes if p.call is not None and p.deadline <= now]:
            assert process.call is not None and process.ticket is not None
            found.append((process.ticket, Failure("timeout", f"after {process.call.seconds} s")))
            self._end(process)
        return found

    def _end(self, process: _Process) -> None:
        self._processes.remove(process)
        assert process.popen.stdin is not None and process.popen.stdout is not None
        self._selector.unregister(process.popen.stdout)
        process.popen.kill()
        process.popen.wait()
        process.popen.stdout.close()
        with contextlib.suppress(OSError):
            process.popen.stdin.close()
