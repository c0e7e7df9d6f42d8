"""Answers on their way back to the driver; failures wait for proof that the server is sound.

In: outcomes from the client's thread. Out: batches of them on the driver's thread, or an error.
Shown by: `python -m pytest tests/synth/engines/test_openai_faults.py -k broken`.
Limit: a failure is told only with the next success, or once nothing else is under way.

A server that fails every request would end row after row. So failures that come one after another
are held back; the HOPELESS_ROW-th ends the run instead, and none of them is told: their rows are
as if never begun.
"""

from __future__ import annotations

import threading
from collections import deque

from synth.calls import Answer, EngineDied, Failure

HOPELESS_ROW = 100
HELD = ("server", "timeout", "rejected")  # what a broken server or recipe does to every request

Outcome = Answer | Failure


class Outbox:
    """Outcomes by ticket. `put` and `end` on one thread, `take` on another."""

    def __init__(self) -> None:
        self.error: Exception | None = None  # raised by `take` once all that is whole is taken
        self._ready: deque[tuple[int, Outcome]] = deque()
        self._held: list[tuple[int, Failure]] = []
        self._told = False  # the error was raised
        self._news = threading.Event()

    def held(self) -> int:
        """Failures that are not told yet."""
        return len(self._held)

    def last(self) -> str:
        """The failure that came last, for a message."""
        failure = self._held[-1][1]
        return f"the last: {failure.reason}: {failure.detail}"

    def put(self, ticket: int, outcome: Outcome) -> bool:
        """Add one. False once so many failed in a row that the rest need not be tried."""
        if isinstance(outcome, Failure) and outcome.reason in HELD:
            self._held.append((ticket, outcome))
            return len(self._held) < HOPELESS_ROW
        self._ready.append((ticket, outcome))
        if isinstance(outcome, Answer):
            self.release()
        return True

    def release(self) -> None:
        """Tell the failures that are held: the server answers others, or there are no others."""
        if self._held and self.error is None:
            self._ready.extend(self._held)
            self._held.clear()

    def end(self, error: Exception) -> None:
        """No more will come; the first error stands."""
        if self.error is None:
            self.error = error
        self._news.set()

    def take(self, wait: float) -> list[tuple[int, Outcome]]:
        """All that are there; waits for the first. Raises `error` where there are none."""
        if not self._ready and self.error is None and wait > 0:
            self._news.wait(wait)
        self._news.clear()
        found = []
        while self._ready:
            found.append(self._ready.popleft())
        if not found:
            self.refuse()
        return found

    def refuse(self) -> None:
        """Raise what ended the client, once; from then on EngineDied, which opens another."""
        if self.error is None:
            return
        if self._told:
            raise EngineDied(f"the client has ended: {self.error}")
        self._told = True
        raise self.error

    def tell(self) -> None:
        """Wake the driver. Not done by `put`: to wake costs as much as ten answers."""
        if self._ready:
            self._news.set()
