"""The local executor: worker processes on this machine, the embedded default.

In: a phase. Out: every task's published record, or an error that says which failed and why.
Shown by: `gristmill run RECIPE --workers 4`. Limit: one machine; tasks are the unit of parallelism.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from gristmill.errors import TaskError
from gristmill.live import sign_in
from gristmill.redact import redact
from gristmill.step import Phase, Task
from gristmill.stopping import Interrupted, asked, ready, stoppable
from gristmill.task import RunInfo, published
from pipelines.crashes import died, hopeless, note_crash
from pipelines.failures import explain_failure
from pipelines.worker import STOP, receive, send

MAX_UNMARKED = 3  # deaths of a worker with no record in hand, in one task of one run
LOOK = 0.2  # seconds between two looks for a request to stop


class Shown(Protocol):
    """Where a phase's progress is seen: gristmill.progress.PhaseProgress."""

    def advance(self, units: int) -> None:
        """So many units more are done; negative when a task starts again."""

    def say(self, state: str) -> None:
        """What a task says of itself."""

    def note(self, text: str) -> None:
        """A line of its own."""


class Executor(Protocol):
    """What the runner asks of any executor: local, Ray, Slurm."""

    def run(self, phase: Phase, info: RunInfo, shown: Shown) -> None:
        """Return when every task of the phase has its record; raise TaskError otherwise.

        Interrupted, when tasks have saved what they had: they were asked to stop.
        """


class LocalExecutor:
    """`workers` processes that live as long as the executor. Use as a context manager."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1
        self._idle: list[subprocess.Popen[bytes]] = []
        self._started: list[subprocess.Popen[bytes]] = []
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
        with stoppable():
            try:
                self._join(threads, phase, shown, stop)
            except KeyboardInterrupt:
                stop.set()
                self.__exit__(None, None, None)
                raise
            number = asked()
        saved = [problem["saved"] for problem in problems if "saved" in problem]
        if saved or (number is not None and not problems):
            raise Interrupted("; ".join(saved), number or signal.SIGTERM)
        missing = [t for t in phase.tasks if published(staging, phase.name, t.id) is None]
        if missing:
            raise TaskError(redact(explain_failure(phase, missing, staging, problems)))

    def _join(
        self, threads: list[threading.Thread], phase: Phase, shown: Shown, stop: threading.Event
    ) -> None:
        """Wait for the end; where tasks can save what they have, a request to stop is theirs."""
        if phase.saves:
            ready()
        told = False
        for thread in threads:
            while thread.is_alive():
                thread.join(LOOK)
                if told or asked() is None:
                    continue
                told = True
                stop.set()
                first = f"{phase.name} first saves what it has"
                shown.note(f"stopping: {first}; once more ends it at once")
                for process in self._started:
                    assert process.stdin is not None
                    with contextlib.suppress(OSError):  # it has gone
                        send(process.stdin, STOP)

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
                if asked() is not None:  # its end was wished for
                    outcome = {}
                    break
                known = note_crash(Path(info.staging), phase.name, task, process)
                unmarked += not known[-1]
                if unmarked == MAX_UNMARKED or hopeless(known) or stop.is_set():
                    outcome = died(phase, task, process, known[-1])
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
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self._started.append(process)
        return process


def _attempt(
    process: subprocess.Popen[bytes], phase: Phase, info: RunInfo, task: Task, shown: Shown
) -> dict[str, Any] | None:
    """Run a task in a worker: {} when it succeeded, its failure, or None when the worker died.

    A task that was asked to stop leaves what it has `saved`, for people.
    """
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
    if message[0] == "stopped":
        return {"saved": message[1]}
    shown.advance(task.size - reported)
    failed: dict[str, Any] | None = message[1]
    return {**failed, "task": task.id} if failed else {}
