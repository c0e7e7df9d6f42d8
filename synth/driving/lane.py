"""Lanes: the way of calls to one service and of its answers back.

In: calls of rows. Out: answers. Shown by: `python -m pytest tests/synth/test_driver.py`.
Limit: equal programs for a sandbox are run each time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

from synth.calls import Answer, EngineDied, Failure, Ready, Service
from synth.driving.budget import Purse
from synth.driving.goodput import Goodput

Deliver = Callable[[Any, Answer | Failure], None]
TICKETS = count()  # of this process: an engine outlives the lanes to it


@dataclass(slots=True)
class Flight:
    """One request, from its first asker to its answer."""

    ready: Ready | None  # None of a call to a sandbox or a process
    call: Any
    limit: int
    waiters: list[Any]


class Lane:
    """Calls to a sandbox or to other processes."""

    def __init__(
        self, name: str, service: Service, deliver: Deliver, goodput: Goodput, purse: Purse
    ) -> None:
        self.name = name
        self.fresh: list[tuple[Any, Any]] = []
        self.backlog: deque[Flight] = deque()
        self.flights: dict[int, Flight] = {}
        self.stopped = False  # by a budget: nothing more is sent
        self._service = service
        self._deliver = deliver
        self._goodput = goodput
        self._purse = purse

    @property
    def waiting(self) -> int:
        """Calls that are not with the service yet."""
        return len(self.fresh) + len(self.backlog)

    @property
    def capacity(self) -> int:
        return self._service.capacity

    def ask(self, waiter: Any, call: Any) -> None:
        """Take one call; `waiter` is handed back with its answer."""
        self.fresh.append((waiter, call))

    def prepare(self) -> None:
        """Make fresh calls ready to send; deliver what is known already."""
        self.backlog += [Flight(None, call, 0, [waiter]) for waiter, call in self.fresh]
        self.fresh = []

    def refill(self, last: bool) -> None:
        """Send while the service has room."""
        while self.backlog and len(self.flights) < self.capacity:
            flight = self.backlog.popleft()
            ticket = next(TICKETS)
            self.flights[ticket] = flight
            self._service.submit(ticket, flight.call)

    def poll(self, wait: float) -> int:
        """Deliver what the service has found; how many answers that were."""
        with self._goodput.timed(self.name):
            answers = self._service.poll(wait)
        for ticket, answer in answers:
            flight = self.flights.pop(ticket, None)
            if flight is not None:
                self._deliver(flight.waiters[0], answer)
        return len(answers)

    def stop(self, abort: bool) -> None:
        """Send no new requests to a model; abort: nor wait for those under way."""

    def abort(self) -> None:
        """Forget all that is under way."""
        with suppress(EngineDied):
            self._service.abort(list(self.flights))
        self.flights = {}
        self.backlog.clear()
        self.fresh = []
