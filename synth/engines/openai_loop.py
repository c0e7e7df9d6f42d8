"""The client's thread: one event loop that keeps the server busy and no request waiting in vain.

In: Ready calls, from the driver's thread, in batches. Out: outcomes, into an Outbox.
Shown by: `python -m pytest tests/synth/engines/test_openai_faults.py`.
Limit: one thread, where httpx takes 0.8 ms a request: about a thousand small requests a second.

A request that waits for its next attempt holds no place in flight. Where nobody listens any more,
no request is charged: all wait until the server is back, for `patience_s`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from synth.calls import Answer, EngineDied, Failure, Ready
from synth.engines import openai_troubles as troubles
from synth.engines.openai_http import Again, Down, Hopeless, Wire
from synth.engines.openai_limits import Rate, Window, backoff, read_queue
from synth.engines.openai_outbox import Outbox

SLEEPERS = 64  # requests that wait for their next attempt and make room for others
LOOK_S = 0.5  # between looks at the server's queue, or for a server that is gone
TELL_S = 0.003  # the driver is woken once for all answers of so many seconds
IDLE_S = 0.2  # without a request under way, until failures that are held are told


@dataclass(slots=True)
class Job:
    """One request on its way: how often it was tried, and what it is doing now."""

    ticket: int
    ready: Ready
    attempts: int = 0
    task: asyncio.Task[None] | None = None  # an attempt under way
    timer: asyncio.TimerHandle | None = None  # waiting for its next attempt


class Loop:
    """Requests under way on a thread of their own."""

    def __init__(
        self, wire: Wire, window: Window, rates: tuple[Rate, Rate], retries: int, patience_s: float
    ) -> None:
        self.outbox = Outbox()
        self._wire, self._base, self._window = wire, wire.site.base, window
        self._requests, self._tokens = rates
        self._retries, self._patience_s = retries, patience_s
        self._inbox: deque[tuple[int, Ready]] = deque()
        self._telling = False  # the driver will be woken
        self._awake = False  # the loop knows that there is something in the inbox
        self._jobs: dict[int, Job] = {}
        self._waiting: deque[Job] = deque()
        self._under_way = 0
        self._sleeping = 0
        self._not_before = 0.0  # the server asked everybody to wait
        self._timer: asyncio.TimerHandle | None = None
        self._search: asyncio.Task[None] | None = None  # for a server that went away
        self._watch: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, name="openai-client", daemon=True)
        self._thread.start()

    def submit(self, ticket: int, ready: Ready) -> None:
        """Hand over one call; the loop is woken once for all that come before it looks."""
        self._inbox.append((ticket, ready))
        if not self._awake:
            self._awake = True
            self._loop.call_soon_threadsafe(self._take)

    def abort(self, tickets: Sequence[int]) -> None:
        """Drop calls; one whose answer is already in the outbox stays there."""
        self._loop.call_soon_threadsafe(self._drop, tuple(tickets))

    def capacity(self) -> int:
        """Places in flight, those that wait outside of them, and a few to refill from at once."""
        size = int(self._window.size)
        asleep = min(self._sleeping, max(SLEEPERS, size))
        return size + max(2, size // 4) + asleep + self.outbox.held()

    def close(self) -> None:
        """End all requests and the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(30)

    # From here on everything runs on the loop's thread.

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        if self._window.sees_queue:
            self._watch = self._loop.create_task(self._watch_queue())
            self._watch.add_done_callback(self._ended)
        try:
            self._loop.run_forever()
        finally:
            # What was begun in this step gets to its first wait, where it can be cancelled.
            self._loop.run_until_complete(asyncio.sleep(0.01))
            tasks = asyncio.all_tasks(self._loop)
            for one in tasks:
                one.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(self._wire.close())
            self._loop.close()

    def _take(self) -> None:
        self._awake = False
        while self._inbox:
            ticket, ready = self._inbox.popleft()
            job = self._jobs[ticket] = Job(ticket, ready)
            self._waiting.append(job)
        self._pump()

    def _pump(self) -> None:
        """Start attempts until a limit says no; then see to it that there is a next look."""
        while self._waiting and self._under_way < int(self._window.size):
            if self._search is not None or self.outbox.error is not None:
                return
            now = time.monotonic()
            wait = max(self._not_before - now, self._requests.wait(now), self._tokens.wait(now))
            if wait > 0:
                if self._timer is None:
                    self._timer = self._loop.call_later(wait, self._tick)
                return
            job = self._waiting.popleft()
            self._requests.take(1)
            self._tokens.take(job.ready.size)
            self._under_way += 1
            job.task = self._loop.create_task(self._attempt(job))
            job.task.add_done_callback(self._ended)

    def _tick(self) -> None:
        self._timer = None
        self._pump()

    async def _attempt(self, job: Job) -> None:
        outcome: Answer | Failure | Again | None = None
        try:
            outcome = await self._wire.ask(job.ready)
        except Down as error:
            self._window.complaint(time.monotonic())
            if self._search is None:
                self._search = self._loop.create_task(self._find_again(str(error)))
                self._search.add_done_callback(self._ended)
        except Hopeless as error:
            self.outbox.end(troubles.refuses_all(self._base, str(error)))
        finally:
            self._under_way -= 1
            job.task = None
        if job.ticket not in self._jobs:
            return
        if outcome is None:  # the server is gone: the attempt does not count
            self._waiting.appendleft(job)
        elif isinstance(outcome, Again):
            self._again(job, outcome)
        else:
            self._finish(job, outcome)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.outbox.end(error if isinstance(error, Exception) else EngineDied(repr(error)))
        self._pump()

    def _again(self, job: Job, outcome: Again) -> None:
        now = time.monotonic()
        self._window.complaint(now)
        job.attempts += 1
        if job.attempts > self._retries:
            detail = f"{outcome.detail} ({job.attempts} attempts)"
            self._finish(job, Failure(outcome.reason, detail, job.ready.key))
            return
        asked = outcome.wait or 0.0
        if asked > self._patience_s:
            end = troubles.asks_to_wait(self._base, asked, self._patience_s, outcome.detail)
            self.outbox.end(end)
        self._not_before = max(self._not_before, now + asked)
        self._sleeping += 1
        wait = max(asked, backoff(job.ready.key, job.attempts))
        job.timer = self._loop.call_later(wait, self._wake, job)

    def _wake(self, job: Job) -> None:
        job.timer = None
        self._sleeping -= 1
        self._waiting.appendleft(job)  # older than all that wait
        self._pump()

    def _finish(self, job: Job, outcome: Answer | Failure) -> None:
        del self._jobs[job.ticket]
        if isinstance(outcome, Answer):
            self._window.success()
            used = outcome.prompt_tokens + outcome.completion_tokens
            self._tokens.take(used - job.ready.size if used else 0)
        if not self.outbox.put(job.ticket, outcome):
            end = troubles.all_failed(self._base, self.outbox.held(), self.outbox.last())
            self.outbox.end(end)
        if not self._telling:
            self._telling = True
            self._loop.call_later(TELL_S, self._tell)
        if not self._jobs and self.outbox.held():
            self._loop.call_later(IDLE_S, self._idle)

    def _tell(self) -> None:
        self._telling = False
        self.outbox.tell()

    def _idle(self) -> None:
        if not self._jobs:
            self.outbox.release()
            self.outbox.tell()

    def _drop(self, tickets: tuple[int, ...]) -> None:
        for ticket in tickets:
            job = self._jobs.pop(ticket, None)
            if job is None:
                continue
            if job.task is not None:
                job.task.cancel()  # closes its connection, which ends it at the server
            elif job.timer is not None:
                job.timer.cancel()
                self._sleeping -= 1
            else:
                self._waiting.remove(job)
        if not self._jobs and self.outbox.held():
            self._loop.call_later(IDLE_S, self._idle)
        self._pump()

    async def _find_again(self, said: str) -> None:
        """Wait for a server that went away; EngineDied where it stays away."""
        since = time.monotonic()
        while (page := await self._wire.get(f"{self._base}/models")) is None:
            if time.monotonic() - since > self._patience_s:
                self.outbox.end(troubles.stays_away(self._base, said, self._patience_s))
                return
            await asyncio.sleep(LOOK_S)
        if not self._wire.same_model(page):
            self.outbox.end(troubles.another_model(self._base, page))
        self._search = None

    async def _watch_queue(self) -> None:
        """Steer by the server's own queue."""
        while True:
            page = await self._wire.get(f"{self._wire.site.root}/metrics")
            queue = read_queue(page) if page else None
            if queue is not None:
                self._window.observe(queue.waiting, queue.running, self._under_way)
                self._pump()
            await asyncio.sleep(LOOK_S)
