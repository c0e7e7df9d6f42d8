"""Progress: lines where nobody watches, bars where somebody does, nothing when quiet."""

from __future__ import annotations

import io
import threading

import pytest

from gristmill import progress
from gristmill.progress import Progress, clock, human


@pytest.mark.parametrize(
    ("amount", "unit", "said"),
    [
        (0, "B", "0 B"),
        (999, "B", "999 B"),
        (1_500, "B", "1.5 kB"),
        (2_000_000_000_000, "B", "2.0 TB"),
        (3_000_000_000_000_000, "B", "3000.0 TB"),
        (1_234, "rows", "1,234 rows"),
        (2_345_678, "rows", "2.35M rows"),
        (9_876_543_210, "", "9.88G"),
    ],
)
def test_amounts(amount: float, unit: str, said: str) -> None:
    assert human(amount, unit) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.04, "0.0 s"), (42.4, "42 s"), (187, "3:07"), (7387, "2:03:07")]
)
def test_times(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def _run(shown: Progress) -> None:
    with shown:
        phase = shown.phase("web/clean · documents", 100, "B")
        for _ in range(10):
            phase.advance(10, rows=2)
        phase.note("3 files are [truncated]")
        phase.finish()


def test_lines_are_few_and_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LINE_SECONDS", "WORTH_A_LINE"):
        monkeypatch.setattr(progress, name, 1e9)
    stream = io.StringIO()
    _run(Progress(stream=stream))
    assert stream.getvalue() == "3 files are [truncated]\n"  # too quick for more
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    monkeypatch.setattr(progress, "WORTH_A_LINE", 0.0)
    stream = io.StringIO()
    _run(Progress(stream=stream))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 11  # nine on the way, the note, the end
    assert lines[0].startswith("web/clean · documents: 10 B of 100 B, ")
    assert lines[-1].startswith("web/clean · documents: done in ") and "100 B, 20 rows" in lines[-1]
    assert "\x1b" not in stream.getvalue()


def test_a_phase_that_a_line_has_named_says_when_it_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    monkeypatch.setattr(progress, "WORTH_A_LINE", 1e9)
    stream = io.StringIO()
    with Progress(stream=stream) as shown:
        phase = shown.phase("web/clean · uncut", 10, "B")
        phase.advance(0)
        phase.finish()
    assert stream.getvalue().splitlines() == [
        "web/clean · uncut: 0 B of 10 B",
        "web/clean · uncut: done in 0.0 s",
    ]


def test_quiet_is_quiet() -> None:
    stream = io.StringIO()
    _run(Progress(quiet=True, stream=stream))
    _run(Progress(quiet=True, stream=stream, terminal=True))
    assert stream.getvalue() == ""


def test_a_terminal_has_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "WORTH_A_LINE", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = io.StringIO()
    _run(Progress(stream=stream, terminal=True))
    assert "━" in stream.getvalue() and "3 files are [truncated]" in stream.getvalue()


def test_threads_lose_no_units() -> None:
    with Progress(quiet=True) as shown:
        phase = shown.phase("x", 80_000)
        threads = [
            threading.Thread(target=lambda: [phase.advance(1) for _ in range(10_000)])
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert phase.done == 80_000


def test_a_task_that_starts_again_gives_its_units_back() -> None:
    with Progress(quiet=True) as shown:
        phase = shown.phase("x", 10)
        phase.advance(7)
        phase.advance(-7)
        phase.advance(10)
        assert phase.done == 10


def test_what_was_there_before_a_resume_is_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with Progress(quiet=True) as shown:
        phase = shown.phase("models/base · train", 200, "steps")
        phase.advance(0)
        phase.advance(120)  # of the checkpoint
        for _ in range(3):
            now += 0.9
            phase.advance(1)
        assert phase.speed() is None and "left" not in phase.line()  # too early to tell
        now += 1.3
        phase.advance(1)
        assert phase.speed() == pytest.approx(1.0)
        assert phase.line() == "models/base · train: 124 steps of 200 steps, 1.0 steps/s, 1:16 left"
        for _ in range(20):  # it slows down: of late counts
            now += 10
            phase.advance(1)
        assert phase.speed() == pytest.approx(0.1, rel=0.05)


def test_few_reports_give_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with Progress(quiet=True) as shown:
        phase = shown.phase("x", 10)
        for _ in range(3):
            now += 30
            phase.advance(1)
        assert phase.speed() is None
        phase.advance(-2)  # a task starts again
        for _ in range(4):
            now += 30
            phase.advance(1)
        assert phase.speed() == pytest.approx(1 / 30)
