"""Programs run side by side: the service that answers Execute calls.

In: Execute calls. Out: an Answer whose `value` is the Outcome, or a Failure where the sandbox
itself could not be made. Shown by: `python -m pytest tests/synth/sandbox/test_sandbox_pool.py`.
Limit: one thread a slot; each mostly waits for its program.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from gristmill.errors import RecipeError
from synth.calls import Answer, Execute, Failure
from synth.sandbox.available import SandboxError, available
from synth.sandbox.limits import Limits
from synth.sandbox.run import run

Found = tuple[int, Answer | Failure]


class SandboxPool:
    """`slots` programs at a time (default: a core each), all under the same limits."""

    def __init__(self, slots: int | None = None, limits: Limits | None = None) -> None:
        reason = available()
        if reason:
            raise SandboxError(reason)
        self.slots = slots or len(os.sched_getaffinity(0))
        self.capacity = 4 * self.slots  # some wait, so that no slot does
        self.limits = limits or Limits()
        self._waiting: SimpleQueue[tuple[int, Execute] | None] = SimpleQueue()
        self._done: SimpleQueue[Found] = SimpleQueue()
        self._stops: dict[int, threading.Event] = {}  # of calls under way
        self._threads: list[threading.Thread] = []

    def submit(self, ticket: int, call: Execute) -> None:
        """Take one call; threads start with the first."""
        self._stops[ticket] = threading.Event()
        self._waiting.put((ticket, call))
        if len(self._threads) < min(self.slots, len(self._stops)):
            thread = threading.Thread(target=self._work, name="sandbox", daemon=True)
            self._threads.append(thread)
            thread.start()

    def poll(self, wait: float) -> list[Found]:
        """What has finished since; waits up to `wait` seconds for the first."""
        found: list[Found] = []
        until = time.monotonic() + wait
        while True:
            try:
                left = 0.0 if found else max(0.0, until - time.monotonic())
                ticket, answer = self._done.get(timeout=left) if left else self._done.get_nowait()
            except Empty:
                return found
            if self._stops.pop(ticket, None) is not None:  # else it was aborted
                found.append((ticket, answer))

    def abort(self, tickets: Sequence[int]) -> None:
        """Kill these, or forget them where they have not begun."""
        for ticket in tickets:
            stop = self._stops.pop(ticket, None)
            if stop is not None:
                stop.set()

    def close(self) -> None:
        """Kill what runs and wait until it is gone."""
        self.abort(list(self._stops))
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _work(self) -> None:
        while (taken := self._waiting.get()) is not None:
            ticket, call = taken
            stop = self._stops.get(ticket)
            if stop is not None:
                self._done.put((ticket, self._run(call, stop)))

    def _run(self, call: Execute, stop: threading.Event) -> Answer | Failure:
        try:
            outcome = run(
                call.program, stdin=call.stdin, files=call.files, limits=self.limits, stop=stop
            )
        except (SandboxError, OSError) as error:  # OSError: out of processes, files or memory
            return Failure("crashed", f"sandbox: {error}"[:300])
        except RecipeError as error:
            return Failure("rejected", str(error)[:300])
        return Answer(value=outcome)
