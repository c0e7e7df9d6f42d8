"""The driver: thousands of rows under way over a few services, in one thread, without a barrier.

In: rows in order. Out: the same rows in the same order, with what became of them.
Shown by: `python -m pytest tests/synth/test_driver.py`.
Limit: a row that takes very long holds back the window of rows after it.

A row's flow is a generator that yields calls. The driver collects the calls of many rows, has them
rendered in batches, takes from the log what was answered before, keeps every service full, and
resumes each flow with its answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gristmill.errors import GristmillError
from synth.calls import Answer, Call, Failure
from synth.driving.budget import Purse
from synth.driving.goodput import Goodput
from synth.driving.lanes import Lanes
from synth.driving.log import Logs
from synth.driving.services import Services
from synth.flow import flow
from synth.items import Item, Row
from synth.ops import SynthOp

AHEAD = (64, 512)  # calls that wait for a place: at least and at most
ROWS_A_PLACE = 8  # rows in the window for each place of all services
WINDOW = 1024  # rows in the window at least


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
        self._logs = logs
        self._purse, self._goodput = purse, goodput
        self._window = window
        self._lanes = Lanes(services, logs, self._deliver, goodput, purse)
        self._resumable: deque[_Started] = deque()
        self._under_way: dict[int, _Started] = {}
        self._done: dict[int, Finished] = {}
        self._begun = 0  # rows
        self._next = 0  # the row to be handed out next
        self._exhausted = False

    def run(self) -> Iterator[Finished]:
        """Hand out rows in the order of the source."""
        while True:
            if self._purse.out_of_time() or self._lanes.stopped:
                yield from self._stop()
                return
            self._start_rows()
            self._prepare()
            while self._next in self._done:
                yield self._done.pop(self._next)
                self._next += 1
            self._lanes.refill(self._exhausted)
            if self._exhausted and not self._under_way and not self._done:
                return
            self._turn()

    def close(self) -> None:
        """Flush the log, then forget what is under way."""
        try:
            self._logs.flush()
        finally:
            self._lanes.abort()
            for started in self._under_way.values():
                started.flow.close()

    def _start_rows(self) -> None:
        """Begin rows until enough calls wait, or the window is full."""
        if self._exhausted:
            return
        capacity = self._lanes.capacity
        ahead = min(max(capacity, AHEAD[0]), AHEAD[1])
        window = self._window or max(WINDOW, ROWS_A_PLACE * capacity)
        waiting = self._lanes.waiting
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
            self._lanes.of(call).ask((started, place), call)
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
            self._lanes.prepare()
            if not self._resumable:
                return
            with self._goodput.timed("flow"):
                for _ in range(len(self._resumable)):
                    started = self._resumable.popleft()
                    self._resume(started, started.answers)

    def _turn(self) -> None:
        """Let services work, and keep what they say."""
        if not self._resumable:
            self._lanes.poll()
        self._logs.tick()
        self._tick()

    def _stop(self) -> Iterator[Finished]:
        """The budget is spent: what is under way ends, all other rows stay pending."""
        self._lanes.stop(abort=self._purse.out_of_time())
        while True:
            self._prepare()
            self._lanes.refill(self._exhausted)
            if not self._lanes.under_way:
                break
            self._turn()
        for started in list(self._under_way.values()):
            started.flow.close()
            self._end(started, [], pending=True)
        for place in sorted(self._done):
            yield self._done.pop(place)
        for row in self._rows:
            yield Finished(row, [], "pending")
