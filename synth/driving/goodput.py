"""Goodput: where tokens and seconds went, and how many tokens became rows.

In: what the driver counts. Out: totals that add up over tasks, and the line that progress shows.
Shown by: `gristmill show synth/qa`.
Limit: where a row lost some candidates for several reasons, its lost tokens are shared evenly.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Goodput:
    """Counts of one task, or of a step."""

    requests: int = 0  # answered by a model now
    cached: int = 0  # answered by the log
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0  # of the completion tokens: those that came from the log
    kept_tokens: int = 0  # completion tokens of rows that were emitted
    lost_tokens: Counter[str] = field(default_factory=Counter)  # by reason
    failed: Counter[str] = field(default_factory=Counter)  # candidates, by reason
    filtered: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)  # by place
    deaths: int = 0  # of engines

    @contextmanager
    def timed(self, place: str) -> Iterator[None]:
        """Add the time within to a place."""
        began = time.perf_counter()
        try:
            yield
        finally:
            passed = time.perf_counter() - began
            self.seconds[place] = self.seconds.get(place, 0.0) + passed

    def add(self, other: Goodput) -> None:
        """Sum in the counts of another task."""
        for name in self.__slots__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, dict):
                for key, value in theirs.items():
                    mine[key] = mine.get(key, 0) + value
            else:
                setattr(self, name, mine + theirs)

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        found: dict[str, Any] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            found[name] = dict(sorted(value.items())) if isinstance(value, dict) else value
        found["seconds"] = {k: round(v, 3) for k, v in found["seconds"].items()}
        return found

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Goodput:
        """The same counts from a record."""
        found = cls()
        for name, value in record.items():
            counted = isinstance(getattr(found, name), Counter)
            setattr(found, name, Counter(value) if counted else value)
        return found


def facts(total: Goodput) -> dict[str, Any]:
    """What the build record keeps: the counts, and rates over the loop's seconds."""
    seconds = sum(total.seconds.values())
    fresh = total.completion_tokens - total.cached_tokens
    return {
        **total.record(),
        "tokens_per_second": round(fresh / seconds, 1) if seconds else 0.0,
        "kept_tokens_per_second": round(total.kept_tokens / seconds, 1) if seconds else 0.0,
    }


class Pace:
    """The progress of a task, about once a second: rows done, rates, failures by type."""

    def __init__(
        self,
        total: Goodput,
        say: Callable[[str], None],
        advance: Callable[[int], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rows = self.kept = 0  # written so far
        self._total, self._say, self._advance, self._clock = total, say, advance, clock
        self._last = clock()
        self._told = (0, 0, 0)

    def tick(self) -> None:
        """Called often."""
        passed = self._clock() - self._last
        if passed < 1.0:
            return
        rows, kept, tokens = self._told
        total = self._total
        fresh = total.completion_tokens - total.cached_tokens
        parts = [f"{(fresh - tokens) / passed:,.0f} tok/s"]
        parts.append(f"{(self.kept - kept) / passed:,.1f} kept/s")
        if total.failed:
            told = ", ".join(f"{name} {count:,}" for name, count in total.failed.most_common(4))
            parts.append(f"failed: {told}")
        self._say(", ".join(parts))
        self._advance(self.rows - rows)
        self._told = (self.rows, self.kept, fresh)
        self._last = self._clock()

    def finish(self) -> None:
        """All rows are done."""
        self._advance(self.rows - self._told[0])
        self._told = (self.rows, self.kept, 0)
