"""Memory and the loop's own work for millions of rows: the step over a fake engine.

In: numbers of rows. Out: a line for each: resident memory, and CPU time of the loop a request.
Shown by: `python -m bench.synth_memory 100000 1000000 10000000`.
Limit: answers are short; what grows is the log's index, 16 bytes a request.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from gristmill.progress import Progress
from gristmill.step import Phase
from gristmill.store import Store
from gristmill.task import RunInfo, execute
from pipelines.local import Shown
from pipelines.run import run_step
from synth.step import Synthesize

MEBIBYTE = 1 << 20
PAGE = 4096


class Watched:
    """An executor in this process that prints where its memory stands at given numbers of rows."""

    workers = 1

    def __init__(self, marks: list[int]) -> None:
        self._marks = sorted(marks)
        self._rows = 0
        self._spent = time.thread_time()

    def run(self, phase: Phase, info: RunInfo, shown: Shown) -> None:
        state = phase.worker_setup() if phase.worker_setup is not None else None
        for task in phase.tasks:
            failed = execute(
                info, phase.name, task.id, task.call, task.args, state, report=self._report
            )
            if failed is not None:
                raise RuntimeError(failed["traceback"])

    def _report(self, units: int) -> None:
        self._rows += units
        while self._marks and self._rows >= self._marks[0]:
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / MEBIBYTE
            each = (time.thread_time() - self._spent) / self._rows * 1e6
            print(f"{self._marks.pop(0):>12,} rows  {resident:>7,.0f} MiB  {each:>5.1f} µs a row")


def main() -> None:
    """Measure."""
    marks = [int(given) for given in sys.argv[1:]] or [10_000, 100_000]
    step = Synthesize.model_validate(
        {
            "name": "bench/rows",
            "use": "synthesize",
            "from": {"empty": max(marks)},
            "engines": {"main": {"fake": {"words": 8, "capacity": 512}}},
            "do": [{"prompt": {"user": "Say {{ id }}"}}, {"sample": {"max_tokens": 64}}, "emit"],
        }
    )
    with tempfile.TemporaryDirectory() as folder, Progress(quiet=True) as progress:
        run_step(step, Store(folder), Watched(marks), progress, {})


if __name__ == "__main__":
    main()
