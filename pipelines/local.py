"""The local executor: worker processes on this machine, the embedded default.

In: a phase. Out: every task's published record, or an error that says which failed and why.
Shown by: `gristmill run RECIPE --workers 4`. Limit: one machine; tasks are the unit of parallelism.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter, deque
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from gristmill.errors import TaskError
from gristmill.live import sign_in
from gristmill.marker import read_marker
from gristmill.redact import redact
from gristmill.step import Phase, Task
from gristmill.task import RunInfo, crashes, published
from pipelines.failures import explain_failure
from pipelines.worker import receive, send

MAX_CRASHES = 20  # records laid aside in one task before it counts as failed
MAX_UNMARKED = 3  # deaths of a worker with no record in hand, in one task of one run


class Shown(Protocol):
    """Where a phase's progress is seen: gristmill.progress.PhaseProgress."""

    def advance(self, units: int) -> None:
        """So many units more are done; negative when a task starts again."""

    def say(self, state: str) -> None:
        """What a task says of itself."""


class Executor(Protocol):
    """What the runner asks of any executor: local, Ray, Slurm."""

    def run(self, phase: Phase, info: RunInfo, shown: Shown) -> None:
        """Return when every task of the phase has its record; raise TaskError otherwise."""


class LocalExecutor:
    """`workers` processes that live as long as the executor. Use as a context manager."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1
        self._idle: list[subprocess.Popen[bytes]] = []
        self._holder: subprocess.Popen[bytes] | None = None  # ran a phase of few workers last
        self._lock = threading.Lock()

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(
        self, error: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        for process in self._idle:
            process.kill()
            process.wait()
        self._idle = []

    def run(self, phase: Phase, info: RunInfo, shown: Shown) -> None:
        staging = Path(info.staging)
        todo = deque(t for t in phase.tasks if published(staging, phase.name, t.id) is None)
        shown.advance(sum(t.size for t in phase.tasks) - sum(t.size for t in todo))
        if sign_in(staging):
            todo.rotate(len(todo) // 2)  # meet in the middle instead of doing the same tasks
        stop = threading.Event()
        problems: list[dict[str, Any]] = []
        threads = [
            threading.Thread(
                target=self._serve, args=(phase, info, todo, stop, problems, shown), daemon=True
            )
            for _ in range(min(phase.workers or self.workers, self.workers, len(todo)))
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            stop.set()
            self.__exit__(None, None, None)
            raise
        missing = [t for t in phase.tasks if published(staging, phase.name, t.id) is None]
        if missing:
            raise TaskError(redact(explain_failure(phase, missing, staging, problems)))

    def _serve(
        self,
        phase: Phase,
        info: RunInfo,
        todo: deque[Task],
        stop: threading.Event,
        problems: list[dict[str, Any]],
        shown: Shown,
    ) -> None:
        """One worker's life in a phase: next task, until none is left or one has failed."""
        process = self._take(phase)
        while not stop.is_set():
            try:
                task = todo.popleft()
            except IndexError:
                break
            unmarked = 0
            while (outcome := _attempt(process, phase, info, task, shown)) is None:
                process.wait()
                known = _note_crash(Path(info.staging), phase.name, task, process)
                unmarked += not known[-1]
                if unmarked == MAX_UNMARKED or _hopeless(known) or stop.is_set():
                    outcome = _died(phase, task, process, known[-1])
                    break
                process = self._start()
            if outcome:
                problems.append(outcome)
                stop.set()
        with self._lock:
            if process.poll() is None:
                self._idle.append(process)

    def _take(self, phase: Phase) -> subprocess.Popen[bytes]:
        """A worker; for a phase that fills the machine, the one that may hold a model already."""
        with self._lock:
            if phase.workers is not None and self._holder in self._idle:
                self._idle.remove(self._holder)
                self._idle.append(self._holder)
            while self._idle:
                process = self._idle.pop()
                if process.poll() is None:
                    break
            else:
                process = self._start()
            if phase.workers is not None:
                self._holder = process
        return process

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {
            # glibc gives blocks of 128 kB and more back to the kernel at once; pages of that size
            # come by the thousand, and faulting them in again costs 5 % of a run.
            "MALLOC_MMAP_THRESHOLD_": str(256 << 20),
            "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
            **os.environ,
            "PYTHONSAFEPATH": "1",  # a folder `train/` in the working directory is not our package
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )


def _attempt(
    process: subprocess.Popen[bytes], phase: Phase, info: RunInfo, task: Task, shown: Shown
) -> dict[str, Any] | None:
    """Run a task in a worker: {} when it succeeded, its failure, or None when the worker died."""
    assert process.stdin is not None and process.stdout is not None
    reported = 0
    try:
        send(process.stdin, (info, phase.name, phase.worker_setup, task))
        while True:
            message = receive(process.stdout)
            if message[0] == "progress":
                units = min(message[1], task.size - reported)
                reported += units
                shown.advance(units)
            elif message[0] == "state":
                shown.say(message[1])
            else:
                break
    except (EOFError, OSError):
        shown.advance(-reported)
        return None
    shown.advance(task.size - reported)
    failed: dict[str, Any] | None = message[1]
    return {**failed, "task": task.id} if failed else {}


def _died(
    phase: Phase, task: Task, process: subprocess.Popen[bytes], record: str
) -> dict[str, Any]:
    code = process.returncode
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    where = f" at record {record!r}" if record else ""
    less = "make its batches smaller" if phase.workers == 1 else "use fewer --workers"
    why = f"its worker {how}{where}, again and again; if memory ran out, {less}"
    return {"task": task.id, "error": why, "user_error": False, "errno": None}


def _hopeless(known: list[str]) -> bool:
    """Too many records crash a task, or one that should have been left out by now."""
    records = Counter(record for record in known if record)
    return len(records) > MAX_CRASHES or max(records.values(), default=0) > 4


def _note_crash(
    staging: Path, phase: str, task: Task, process: subprocess.Popen[bytes]
) -> list[str]:
    """Add the record that was in hand when a worker died; what is known now, the newest last."""
    home = staging / phase
    mark = home / f"{task.id}.{process.pid}.mark"
    known = [*crashes(home, task.id), read_marker(mark)]
    mark.unlink(missing_ok=True)
    temporary = home / f".{task.id}.{process.pid}.crashes"
    with contextlib.suppress(OSError):  # a full disk: the next try knows less
        temporary.write_text(json.dumps(known))
        os.replace(temporary, home / f"{task.id}.crashes.json")
    return known
