"""Limits of a client: requests under way (AIMD, vLLM's queue), requests and tokens a minute.

In: what the server did and says, with the time. Out: whether to send, and how long to wait.
Shown by: `python -m pytest tests/synth/engines/test_openai_limits.py`.
Limit: without /metrics the client sees saturation only once the server complains or times out.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from gristmill.rng import derive_seed

FIRST_WINDOW = 32  # requests under way before anything is known of the server
WINDOW_SEEN = 1024  # the most where the server tells its queue: vLLM's max_num_seqs on an H100
WINDOW_BLIND = 64  # the most where it does not: without a queue's length more only adds latency
SHRINK = 0.7  # after a 429, a 5xx or a timeout; at most once in COOL seconds
COOL = 1.0
BACKOFF_FIRST, BACKOFF_MOST = 0.5, 30.0


def backoff(key: bytes, attempt: int) -> float:
    """Seconds before attempt 1, 2, …: doubling, with a jitter of its own for every request."""
    ceiling: float = min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** (attempt - 1))
    unit = derive_seed(int.from_bytes(key, "little"), "backoff", attempt) / (1 << 63)
    return ceiling * (0.5 + 0.5 * unit)


def retry_after(headers: Any, now: float) -> float | None:
    """Seconds that the server asks to wait (RFC 9110 §10.2.3: a number or a date), if it does."""
    given = headers.get("retry-after")
    if given is None:
        return None
    try:
        return max(0.0, float(given))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - now)
    except (ValueError, TypeError):
        return None


class Window:
    """How many requests may be under way: grows while all goes well, shrinks when it does not.

    Where the server tells its queue (`observe`), the queue is kept short but not empty: every
    batch slot is taken, and no request waits long enough to time out.
    """

    def __init__(self, most: int | None, sees_queue: bool) -> None:
        self.sees_queue = sees_queue
        self.most = float(most or (WINDOW_SEEN if sees_queue else WINDOW_BLIND))
        self.size = float(min(FIRST_WINDOW, self.most))
        self._slow_start = True
        self._shrunk = float("-inf")

    def success(self) -> None:
        """One answer came: one more at a time, then (after a first complaint) one a window."""
        if not self.sees_queue:
            self.size = min(self.most, self.size + (1 if self._slow_start else 1 / self.size))

    def complaint(self, now: float) -> None:
        """A 429, a 5xx or a timeout; those of one moment count once."""
        if now - self._shrunk < COOL:
            return
        self._shrunk = now
        self._slow_start = False
        self.size = max(1.0, self.size * SHRINK)

    def observe(self, waiting: float, running: float, under_way: int) -> None:
        """One look at vLLM's gauges: grow while nobody queues, shrink to what is worth queueing."""
        spare = max(4.0, running / 4)  # a queue that refills every slot for some steps to come
        # Where many are neither queued nor running, they are on the way: more would not arrive.
        if waiting == 0 and under_way >= int(self.size) and running >= 0.75 * under_way:
            self.size = min(self.most, self.size * 2)
        elif waiting > spare:
            self.size = max(1.0, self.size / 2, self.size - (waiting - spare / 2))


class Rate:
    """So much a minute, as a bucket that refills steadily and may be drawn into debt once."""

    def __init__(self, per_minute: float | None) -> None:
        self._rate = per_minute / 60 if per_minute else None
        self._most = max(1.0, self._rate) if self._rate else 0.0  # a second's worth at once
        self._level = self._most
        self._at = 0.0

    def wait(self, now: float) -> float:
        """Seconds until something may be taken; 0 if now."""
        if self._rate is None:
            return 0.0
        self._level = min(self._most, self._level + (now - self._at) * self._rate)
        self._at = now
        return 0.0 if self._level > 0 else -self._level / self._rate + 1e-3

    def take(self, amount: float) -> None:
        """Use some; a negative amount gives back what an estimate took too much."""
        self._level -= amount


@dataclass(frozen=True, slots=True)
class Queue:
    """vLLM's gauges at one moment, summed over its engines."""

    waiting: float
    running: float


def read_queue(metrics: str) -> Queue | None:
    """The queue in a Prometheus text, or None where the server is not a vLLM."""
    found: dict[str, float] = {}
    for line in metrics.splitlines():
        if not line.startswith("vllm:num_requests_"):
            continue
        name = line.partition("{")[0].partition(" ")[0].removeprefix("vllm:num_requests_")
        if name in ("waiting", "running"):
            found[name] = found.get(name, 0.0) + float(line.rsplit(" ", 1)[1])
    if len(found) < 2:
        return None
    return Queue(found["waiting"], found["running"])
