"""All lanes of a driver: opened when a call first needs them, polled in turn.

In: calls of any kind. Out: the lane of each. Shown by: `python -m pytest
tests/synth/test_driver.py`.
Limit: services are waited for one after another; each wait is short.
"""

from __future__ import annotations

import time

from synth.calls import Call, Execute, Generate, Reward, ScoreTokens, Work
from synth.driving.budget import Purse
from synth.driving.engine_lane import EngineLane
from synth.driving.goodput import Goodput
from synth.driving.lane import Deliver, Lane
from synth.driving.log import Logs
from synth.driving.services import Services

PAUSE = 0.005  # seconds, where services have no room and nothing under way
IDLE = 0.05  # seconds to wait for one service; of several, for each in turn


class Lanes:
    """The services that a flow asks."""

    def __init__(
        self, services: Services, logs: Logs, deliver: Deliver, goodput: Goodput, purse: Purse
    ) -> None:
        self._services, self._logs = services, logs
        self._deliver, self._goodput, self._purse = deliver, goodput, purse
        self._lanes: list[Lane] = []
        self._named: dict[str, Lane] = {}  # two engines of equal settings are one
        self._turns = 0

    @property
    def stopped(self) -> bool:
        """Whether the budget lets no request pass any more."""
        return any(lane.stopped for lane in self._lanes)

    @property
    def under_way(self) -> bool:
        """Whether a service has calls in hand."""
        return any(lane.flights for lane in self._lanes)

    @property
    def waiting(self) -> int:
        """Calls that are not with a service yet."""
        return sum(lane.waiting for lane in self._lanes)

    @property
    def capacity(self) -> int:
        """Calls that all services want under way."""
        return sum(lane.capacity for lane in self._lanes)

    def prepare(self) -> None:
        """Make fresh calls ready to send; deliver what the log knows."""
        for lane in self._lanes:
            if lane.fresh:
                lane.prepare()

    def refill(self, last: bool) -> None:
        """Send where there is room."""
        for lane in self._lanes:
            lane.refill(last)

    def poll(self) -> None:
        """Let services work, and deliver what they found."""
        busy = [lane for lane in self._lanes if lane.flights]
        if not busy:
            time.sleep(PAUSE if any(lane.backlog for lane in self._lanes) else 0)
        elif len(busy) == 1:
            busy[0].poll(IDLE)
        elif not sum(lane.poll(0.0) for lane in busy):
            self._turns += 1
            busy[self._turns % len(busy)].poll(IDLE / len(busy))

    def stop(self, abort: bool) -> None:
        """Send no new requests to models; abort: nor wait for those under way."""
        for lane in self._lanes:
            lane.stop(abort)

    def abort(self) -> None:
        """Forget all that is under way."""
        for lane in self._lanes:
            lane.abort()

    def of(self, call: Call) -> Lane:
        """The lane of a call."""
        if isinstance(call, Generate | ScoreTokens | Reward):
            name = call.engine
        else:
            name = "sandbox" if isinstance(call, Execute) else "work"
        lane = self._named.get(name)
        if lane is None:
            lane = self._named[name] = self._open(name, isinstance(call, Execute | Work))
        return lane

    def _open(self, name: str, other: bool) -> Lane:
        lane: Lane
        if other:
            service = self._services.other(name)
            lane = Lane(name, service, self._deliver, self._goodput, self._purse)
        else:
            opened = self._services.engine(name)
            for known in self._lanes:
                if isinstance(known, EngineLane) and known.opened is opened:
                    return known
            log = self._logs.of(opened.engine.model)
            lane = EngineLane(name, opened, self._deliver, self._goodput, self._purse, log)
        self._lanes.append(lane)
        return lane
