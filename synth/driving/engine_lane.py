"""Lanes to engines: requests made ready in batches, looked up in the log, equal ones made once.

In: calls to a model. Out: answers, from the log where it has them, else from the engine.
Shown by: `python -m pytest tests/synth/test_driver.py`.
Limit: what kills an engine only together with other requests is not told from them.

An engine that dies is started again with the same requests. From its second death on fewer and
fewer go at once, until one that kills it alone is known; that one fails as `engine`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from gristmill.errors import GristmillError
from synth.calls import Answer, EngineDied, Failure, Generate, Ready
from synth.driving.budget import Purse
from synth.driving.goodput import Goodput
from synth.driving.lane import TICKETS, Deliver, Flight, Lane
from synth.driving.log import RequestLog
from synth.driving.services import Opened
from synth.items import well_formed

PREPARED = 512  # calls rendered and tokenised together
NARROWER = 16  # after a death so many times fewer requests go at once
BARREN_DEATHS = 5  # deaths one after another without an answer between
CULPRITS = 20  # requests of one engine that may kill it


class EngineLane(Lane):
    """Requests to a model: rendered in batches, looked up in the log, equal ones made once."""

    def __init__(
        self,
        name: str,
        opened: Opened,
        deliver: Deliver,
        goodput: Goodput,
        purse: Purse,
        log: RequestLog,
    ) -> None:
        super().__init__(name, opened.engine, deliver, goodput, purse)
        self.opened = opened
        self._engine = opened.engine
        self._log = log
        self._open: dict[tuple[bytes, int], Flight] = {}  # asked and not answered
        self._unsorted = False
        self._narrow: int | None = None  # so many at once, while suspects of a death are tried
        self._suspects: set[int] = set()  # ids of flights that were under way at a death
        self._barren = self._culprits = self._deaths = 0

    def prepare(self) -> None:
        while self.fresh:
            batch, self.fresh = self.fresh[:PREPARED], self.fresh[PREPARED:]
            with self._goodput.timed("prepare"):
                calls = [call for _, call in batch]
                if any(call.group for call in calls if isinstance(call, Generate)):
                    batch = by_group(batch)
                    calls = [call for _, call in batch]
                found = self._prepared(calls)
            with self._goodput.timed("log"):
                ready = [r for r in found if isinstance(r, Ready)]
                limits = [_limit(r) for r in ready]
                known = iter(self._log.find([r.key for r in ready], limits))
            for (waiter, call), one in zip(batch, found, strict=True):
                if isinstance(one, Failure):
                    self._deliver(waiter, one)
                    continue
                answer = next(known)
                if answer is not None:
                    self._deliver(waiter, self._own(answer, one.key, cached=True))
                    continue
                self._queue(waiter, call, one)

    def _prepared(self, calls: Sequence[Any]) -> Sequence[Ready | Failure]:
        """A batch made ready; a call that breaks the tokenizer fails, and no other."""
        try:
            return self._engine.prepare(calls)
        except GristmillError:
            raise
        except EngineDied as death:
            raise GristmillError(f"engine {self.name!r} takes no requests: {death}") from death
        except Exception as error:
            if len(calls) == 1:
                return [Failure("crashed", f"{type(error).__name__}: {error}")]
            return [one for call in calls for one in self._prepared([call])]

    def _queue(self, waiter: Any, call: Any, ready: Ready) -> None:
        limit = _limit(ready)
        same = self._open.get((ready.key, limit))
        if same is not None:
            same.waiters.append(waiter)
            return
        flight = Flight(ready, call, limit, [waiter])
        self._open[ready.key, limit] = flight
        self.backlog.append(flight)
        self._unsorted = True

    def refill(self, last: bool) -> None:
        """last: no further rows come, so the longest go first."""
        if not self.backlog or self.stopped:
            return
        room = self.capacity if self._narrow is None else self._narrow
        if last and self._unsorted and self._narrow is None:
            self._unsorted = False
            self.backlog = deque(sorted(self.backlog, key=lambda f: -cast(Ready, f.ready).size))
        with self._goodput.timed("submit"):
            while self.backlog and len(self.flights) < room:
                flight = self.backlog[0]
                ready = cast(Ready, flight.ready)
                if not self._purse.admits(self.name, ready):
                    self.stopped = not self.flights
                    return
                self.backlog.popleft()
                ticket = next(TICKETS)
                self.flights[ticket] = flight
                try:
                    if not self.opened.started:
                        self._start()
                    self._engine.submit(ticket, ready)
                except EngineDied as death:
                    self._recover(death)
                    room = self.capacity if self._narrow is None else self._narrow

    def poll(self, wait: float) -> int:
        try:
            with self._goodput.timed(self.name):
                answers = self._engine.poll(wait)
        except EngineDied as death:
            self._recover(death)
            return 0
        for ticket, answer in answers:
            flight = self.flights.pop(ticket, None)
            if flight is not None:
                self._answered(flight, answer)
        return len(answers)

    def stop(self, abort: bool) -> None:
        self.stopped = True
        if abort:
            self.abort()

    def abort(self) -> None:
        for flight in self.flights.values():
            self._purse.release(self.name, cast(Ready, flight.ready))
        super().abort()
        self._open = {}

    def _answered(self, flight: Flight, answer: Answer | Failure) -> None:
        ready = cast(Ready, flight.ready)
        self._purse.release(self.name, ready)
        del self._open[ready.key, flight.limit]
        if isinstance(answer, Answer):
            answer = self._own(answer, ready.key, cached=False)
            answer.text = well_formed(answer.text)
            self._log.add(ready.key, flight.limit, answer)
        else:
            answer = replace(answer, key=ready.key)
        self._barren = 0
        if self._suspects:
            self._suspects.discard(id(flight))
            if not self._suspects:
                self._narrow = None
        self._deliver(flight.waiters[0], answer)
        for waiter in flight.waiters[1:]:
            if isinstance(answer, Answer):
                answer = self._own(replace(answer), ready.key, cached=True)
            self._deliver(waiter, answer)

    def _own(self, answer: Answer, key: bytes, cached: bool) -> Answer:
        self._purse.spend(self.name, answer)
        answer.key, answer.model, answer.cached = key, self._engine.model, cached
        return answer

    def _start(self) -> None:
        with self._goodput.timed("start"):
            try:
                self.opened.start()
            except EngineDied as death:
                raise GristmillError(f"engine {self.name!r} does not start: {death}") from death

    def _recover(self, death: EngineDied) -> None:
        """Start the engine again; what was under way goes first in line."""
        self._log.flush()
        self.opened.started = False
        self._deaths += 1
        self._barren += 1
        self._goodput.deaths += 1
        under_way = list(self.flights.values())
        self.flights = {}
        for flight in under_way:
            self._purse.release(self.name, cast(Ready, flight.ready))
        if len(under_way) == 1 and (self._narrow == 1 or self._deaths > 1):
            self._culprits += 1
            self._blame(under_way.pop(), death)
        if self._barren > BARREN_DEATHS or self._culprits > CULPRITS:
            raise GristmillError(
                f"engine {self.name!r} died {self._deaths} times, the last time with: "
                f"{str(death)[:300]}. Finished work is kept; mend the engine's settings (memory, "
                "context length) and run the same command again"
            ) from death
        if self._deaths > 1 and under_way:
            self._narrow = max(1, len(under_way) // NARROWER)
            self._suspects |= {id(flight) for flight in under_way}
        self.backlog.extendleft(reversed(under_way))
        self._start()

    def _blame(self, flight: Flight, death: EngineDied) -> None:
        ready = cast(Ready, flight.ready)
        del self._open[ready.key, flight.limit]
        self._suspects.discard(id(flight))
        if not self._suspects:
            self._narrow = None
        for waiter in flight.waiters:
            self._deliver(waiter, Failure("engine", str(death)[:200], ready.key))


def by_group(batch: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Calls of one group next to each other, groups in the order in which they first come."""
    first: dict[str, int] = {}
    order = [
        first.setdefault(getattr(c, "group", "") or f"\0{n}", n) for n, (_, c) in enumerate(batch)
    ]
    return [batch[n] for n in sorted(range(len(batch)), key=lambda n: order[n])]


def _limit(ready: Ready) -> int:
    call = ready.call
    return call.sampling.max_tokens if isinstance(call, Generate) else 0
