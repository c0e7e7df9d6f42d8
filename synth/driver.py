"""The driver: thousands of rows under way over a few services, in one thread, without a barrier.

In: rows in order. Out: the same rows in the same order, with what became of them.
Shown by: `python -m pytest tests/synth/test_driver.py`.
Limit: a row that takes very long holds back the window of rows after it.

A row's flow is a generator that yields calls. The driver collects the calls of many rows, has them
rendered in batches, takes from the log what was answered before, keeps every service full, and
resumes each flow with its answers.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gristmill.errors import GristmillError
from synth.calls import Answer, Call, Execute, Failure, Generate, Reward, ScoreTokens, Work
from synth.driving.budget import Purse
from synth.driving.goodput import Goodput
from synth.driving.lane import EngineLane, Lane
from synth.driving.log import Logs
from synth.driving.services import Services
from synth.flow import flow
from synth.items import Item, Row
from synth.ops import SynthOp

AHEAD = (64, 512)  # calls that wait for a place: at least and at most
ROWS_A_PLACE = 8  # rows in the window for each place of all services
WINDOW = 1024  # rows in the window at least
PAUSE = 0.005  # seconds, where services have no room and nothing under way
IDLE = 0.05  # seconds to wait for one service; of several, for each in turn


@dataclass(slots=True)
class Finished:
    """A row and what became of it; of a pending row the flow did not end."""

    row: Row
    items: list[Item]
    state: Literal["ended", "pending"]
    completions: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(slots=True)
class _Started:
    """A row whose flow waits for answers; `place`: it is the so-many-th of this drive."""

    place: int
    row: Row
    flow: Generator[list[Call], list[Answer | Failure], list[Item]]
    answers: list[Any]
    missing: int
    completions: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


def drive(
    rows: Iterator[Row],
    ops: Sequence[SynthOp],
    services: Services,
    logs: Logs,
    *,
    purse: Purse | None = None,
    goodput: Goodput | None = None,
    window: int | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Generator[Finished, None, None]:
    """Run a flow over rows.

    Args:
        window: rows between the oldest that is not done and the newest; default: by capacity.
        tick: called in every turn of the loop.
    Raises: GristmillError where an engine cannot go on. Whatever ends the iteration, answers that
        came are in the log.
    """
    driver = Driver(rows, ops, services, logs, purse or Purse(), goodput or Goodput(), window, tick)
    try:
        yield from driver.run()
    finally:
        driver.close()


class Driver:
    """The state of one `drive`."""

    def __init__(
        self,
        rows: Iterator[Row],
        ops: Sequence[SynthOp],
        services: Services,
        logs: Logs,
        purse: Purse,
        goodput: Goodput,
        window: int | None,
        tick: Callable[[], None],
    ) -> None:
        self._tick = tick
        self._rows, self._ops = rows, ops
        self._services, self._logs = services, logs
        self._purse, self._goodput = purse, goodput
        self._window = window
        self._lanes: list[Lane] = []
        self._named: dict[str, Lane] = {}  # two engines of equal settings are one
        self._resumable: deque[_Started] = deque()
        self._under_way: dict[int, _Started] = {}
        self._done: dict[int, Finished] = {}
        self._begun = 0  # rows
        self._next = 0  # the row to be handed out next
        self._exhausted = False
        self._turns = 0

    def run(self) -> Iterator[Finished]:
        """Hand out rows in the order of the source."""
        while True:
            if self._purse.out_of_time() or any(lane.stopped for lane in self._lanes):
                yield from self._stop()
                return
            self._start_rows()
            self._prepare()
            while self._next in self._done:
                yield self._done.pop(self._next)
                self._next += 1
            self._refill()
            if self._exhausted and not self._under_way and not self._done:
                return
            self._turn()

    def close(self) -> None:
        """Flush the log, then forget what is under way."""
        try:
            self._logs.flush()
        finally:
            for lane in self._lanes:
                lane.abort()
            for started in self._under_way.values():
                started.flow.close()

    def _start_rows(self) -> None:
        """Begin rows until enough calls wait, or the window is full."""
        if self._exhausted:
            return
        capacity = sum(lane.capacity for lane in self._lanes)
        ahead = min(max(capacity, AHEAD[0]), AHEAD[1])
        window = self._window or max(WINDOW, ROWS_A_PLACE * capacity)
        waiting = sum(lane.waiting for lane in self._lanes)
        with self._goodput.timed("flow"):
            while waiting < ahead and self._begun - self._next < window:
                row = next(self._rows, None)
                if row is None:
                    self._exhausted = True
                    return
                waiting += self._begin(row)

    def _begin(self, row: Row) -> int:
        started = _Started(self._begun, row, flow(self._ops, row), [], 0)
        self._under_way[self._begun] = started
        self._begun += 1
        if row.lost:  # the source could not read it
            self._end(started, [])
            return 0
        return self._resume(started, None)

    def _resume(self, started: _Started, answers: list[Answer | Failure] | None) -> int:
        """Run a flow until it waits or ends; how many calls it made."""
        try:
            calls = started.flow.send(answers)  # type: ignore[arg-type]
            while not calls:
                calls = started.flow.send([])
        except StopIteration as stop:
            self._end(started, stop.value)
            return 0
        except GristmillError:
            raise
        except Exception as error:
            started.row.fail("flow", "crashed", f"{type(error).__name__}: {error}")
            self._end(started, [])
            return 0
        started.answers = [None] * len(calls)
        started.missing = len(calls)
        for place, call in enumerate(calls):
            self._lane(call).ask((started, place), call)
        return len(calls)

    def _end(self, started: _Started, items: list[Item], pending: bool = False) -> None:
        del self._under_way[started.place]
        self._done[started.place] = Finished(
            started.row,
            items,
            "pending" if pending else "ended",
            started.completions,
            started.prompt_tokens,
            started.completion_tokens,
        )

    def _lane(self, call: Call) -> Lane:
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

    def _deliver(self, waiter: tuple[_Started, int], answer: Answer | Failure) -> None:
        started, place = waiter
        if isinstance(answer, Answer) and answer.model is not None:
            self._count(started, answer)
        started.answers[place] = answer
        started.missing -= 1
        if not started.missing:
            self._resumable.append(started)

    def _count(self, started: _Started, answer: Answer) -> None:
        made = answer.completion_tokens
        started.completions += 1
        started.prompt_tokens += answer.prompt_tokens
        started.completion_tokens += made
        total = self._goodput
        total.prompt_tokens += answer.prompt_tokens
        total.completion_tokens += made
        if answer.cached:
            total.cached += 1
            total.cached_tokens += made
        else:
            total.requests += 1

    def _prepare(self) -> None:
        """Make ready what flows ask, until none can go on without a service."""
        while True:
            for lane in list(self._lanes):
                if lane.fresh:
                    lane.prepare()
            if not self._resumable:
                return
            with self._goodput.timed("flow"):
                for _ in range(len(self._resumable)):
                    started = self._resumable.popleft()
                    self._resume(started, started.answers)

    def _refill(self) -> None:
        for lane in self._lanes:
            lane.refill(self._exhausted)

    def _turn(self) -> None:
        """Let services work, and keep what they say."""
        self._poll()
        self._logs.tick()
        self._tick()

    def _poll(self) -> None:
        busy = [lane for lane in self._lanes if lane.flights]
        if self._resumable:
            return
        if not busy:
            time.sleep(PAUSE if any(lane.backlog for lane in self._lanes) else 0)
        elif len(busy) == 1:
            busy[0].poll(IDLE)
        elif not sum(lane.poll(0.0) for lane in busy):
            self._turns += 1
            busy[self._turns % len(busy)].poll(IDLE / len(busy))

    def _stop(self) -> Iterator[Finished]:
        """The budget is spent: what is under way ends, all other rows stay pending."""
        for lane in self._lanes:
            lane.stop(abort=self._purse.out_of_time())
        while True:
            self._prepare()
            self._refill()
            if not any(lane.flights for lane in self._lanes):
                break
            self._turn()
        for started in list(self._under_way.values()):
            started.flow.close()
            self._end(started, [], pending=True)
        for place in sorted(self._done):
            yield self._done.pop(place)
        for row in self._rows:
            yield Finished(row, [], "pending")
