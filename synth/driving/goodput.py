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
    seconds: Counter[str] = field(default_factory=Counter)  # by place
    deaths: int = 0  # of engines

    @contextmanager
    def timed(self, place: str) -> Iterator[None]:
        """Add the time within to a place."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[place] += time.perf_counter() - began

    def add(self, other: Goodput) -> None:
        """Sum in the counts of another task."""
        for name in self.__slots__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            else:
                setattr(self, name, mine + theirs)

    def record(self) -> dict[str, Any]:
        """As JSON values."""
        found: dict[str, Any] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            found[name] = dict(sorted(value.items())) if isinstance(value, Counter) else value
        found["seconds"] = {k: round(v, 3) for k, v in found["seconds"].items()}
        return found

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Goodput:
        """The same counts from a record."""
        return cls(**{k: Counter(v) if isinstance(v, dict) else v for k, v in record.items()})


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
    """The progress line, about once a second."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic):
        self._say, self._clock = say, clock
        self._last = clock()
        self._tokens = self._kept = 0

    def tell(self, total: Goodput, kept: int) -> None:
        """Rates since the last line, failures by type."""
        now = self._clock()
        if (passed := now - self._last) < 1.0:
            return
        fresh = total.completion_tokens - total.cached_tokens
        parts = [
            f"{(fresh - self._tokens) / passed:,.0f} tok/s",
            f"{(kept - self._kept) / passed:,.1f} kept/s",
        ]
        if total.failed:
            told = ", ".join(f"{name} {count:,}" for name, count in total.failed.most_common(4))
            parts.append(f"failed: {told}")
        self._last, self._tokens, self._kept = now, fresh, kept
        self._say(", ".join(parts))
