"""Progress on stderr: rich bars on a terminal, a plain line every few seconds elsewhere.

In: phases with a total, and how far they are. Out: description, bar, units a second, ETA, rows.
Shown by: `gristmill run RECIPE`, and `gristmill run RECIPE 2>log` for plain lines.
Limit: a task that reports nothing for an hour shows nothing for an hour; a phase of fewer than four
reports has no speed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import rich.progress

LINE_SECONDS = 5.0  # at most one plain line in this time
WORTH_A_LINE = 1.0  # seconds; shorter phases that no line has named leave none behind
RECENT = 60.0  # seconds that a speed is measured over
SETTLED = 3.0  # seconds, and reports, before a speed is worth telling
REPORTS = 3

_SIZES = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


def human(amount: float, unit: str = "") -> str:
    """`1.2 GB` for bytes (unit "B"), `0.127 hours`, `12,345 rows`, `3.4M rows` for others."""
    if unit == "B":
        for prefix in ("", "k", "M", "G", "T"):
            if abs(amount) < 1000 or prefix == "T":
                return f"{amount:.0f} B" if not prefix else f"{amount:.1f} {prefix}B"
            amount /= 1000
    name = f" {unit}" if unit else ""
    if abs(amount) < 10 and amount != round(amount):
        return f"{amount:.3g}{name}"
    if abs(amount) < 1_000_000:
        return f"{amount:,.0f}{name}"
    size, prefix = next(pair for pair in _SIZES if abs(amount) >= pair[0])
    return f"{amount / size:.2f}{prefix}{name}"


def clock(seconds: float) -> str:
    """`42 s`, `3:07` or `2:03:07`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def hours_told(hours: float) -> str:
    """`0.2 s`, `3:07` or `1,200 hours`."""
    return clock(hours * 3600) if hours < 100 else human(hours, "hours")


class PhaseProgress:
    """One phase under way. Safe to call from several threads."""

    def __init__(self, owner: Progress, title: str, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done = self.rows = 0
        self.started = time.monotonic()
        self.told = False  # a line about it is printed: its end must be, too
        self.state = ""  # what a task says of itself: PhaseProgress.say
        self._seen: deque[tuple[float, int]] = deque()  # when, units done: of late
        self._owner = owner
        self._bar = owner._open_bar(self)

    def advance(self, units: int, rows: int = 0) -> None:
        """`units` more of the total are done; negative when a task starts again."""
        with self._owner._lock:
            self.done += units
            self.rows += rows
            self._remember(units)
            self._owner._show(self, self._bar)

    def _remember(self, units: int) -> None:
        """The first report is where a speed starts: it may tell what was done before a resume."""
        if units == 0:
            return
        if units < 0:
            self._seen.clear()
        now = time.monotonic()
        self._seen.append((now, self.done))
        while len(self._seen) > REPORTS + 1 and self._seen[1][0] < now - RECENT:
            self._seen.popleft()

    def speed(self) -> float | None:
        """Units a second of late; None while too little is known."""
        if len(self._seen) <= REPORTS or self.done >= self.total:
            return None
        (start, before), (end, _) = self._seen[0], self._seen[-1]
        if end - start < SETTLED or self.done <= before:
            return None
        return (self.done - before) / (end - start)

    def say(self, state: str) -> None:
        """Show a task's own words beside the units, until it says others."""
        with self._owner._lock:
            self.state = state
            self._owner._show(self, self._bar)

    def note(self, text: str) -> None:
        """Print a line without disturbing the bars."""
        self._owner.note(text)

    def finish(self) -> None:
        """The phase is over; its bar gives way to one line."""
        with self._owner._lock:
            self._owner._close_bar(self, self._bar)

    def line(self) -> str:
        """The state as plain text."""
        speed = self.speed()
        parts = [f"{human(self.done, self.unit)} of {human(self.total, self.unit)}"]
        if speed is not None:
            slow = speed < 10 and self.unit != "B"
            parts.append(f"{speed:.1f} {self.unit}/s" if slow else f"{human(speed, self.unit)}/s")
            parts.append(f"{clock((self.total - self.done) / speed)} left")
        if self.rows:
            parts.append(human(self.rows, "rows"))
        parts += [self.state] if self.state else []
        return f"{self.title}: {', '.join(parts)}"

    def summary(self) -> str:
        """The closing line."""
        seconds = time.monotonic() - self.started
        parts = [human(self.done, self.unit)] if self.done else []
        parts += [human(self.rows, "rows")] if self.rows else []
        return f"{self.title}: done in {clock(seconds)}{''.join(', ' + part for part in parts)}"


class Progress:
    """Bars of a run. Use as a context manager.

    Args:
        quiet: show nothing at all, notes included.
        stream: where to write; stderr by default, so that stdout stays clean for `--format json`.
        terminal: bars (True) or lines (False); by default bars where the stream is a terminal.
    """

    def __init__(
        self, quiet: bool = False, stream: TextIO | None = None, terminal: bool | None = None
    ) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._terminal = self._stream.isatty() if terminal is None else terminal
        self._rich: rich.progress.Progress | None = None
        self._lock = threading.RLock()
        self._last_line = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, error: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if self._rich is not None:
            self._rich.stop()
            self._rich = None

    def phase(self, title: str, total: int, unit: str = "") -> PhaseProgress:
        """Open a phase of `total` units ("B" for bytes, else their name)."""
        return PhaseProgress(self, title, total, unit)

    def note(self, text: str) -> None:
        """Print a line."""
        if self._quiet:
            return
        with self._lock:
            if self._rich is not None:
                self._rich.console.print(text, markup=False, highlight=False, soft_wrap=True)
            else:
                print(text, file=self._stream, flush=True)

    def _open_bar(self, phase: PhaseProgress) -> Any:
        if self._quiet or not self._terminal:
            return None
        if self._rich is None:
            self._rich = _rich_progress(self._stream)
            self._rich.start()
        return self._rich.add_task(phase.title, total=max(phase.total, 1), state="")

    def _show(self, phase: PhaseProgress, bar: Any) -> None:
        if bar is not None and self._rich is not None:
            state = phase.line().removeprefix(f"{phase.title}: ")
            self._rich.update(bar, completed=phase.done, state=state)
        elif phase.done >= phase.total or self._quiet:
            return  # the closing line says it
        elif time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            phase.told = True
            print(phase.line(), file=self._stream, flush=True)

    def _close_bar(self, phase: PhaseProgress, bar: Any) -> None:
        if bar is not None and self._rich is not None:
            self._rich.remove_task(bar)
        if phase.told or time.monotonic() - phase.started >= WORTH_A_LINE:
            self.note(phase.summary())


def _rich_progress(stream: TextIO) -> rich.progress.Progress:
    """Loaded only where a terminal is there to see it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        console=Console(file=stream),
        transient=True,
        refresh_per_second=5,
    )
