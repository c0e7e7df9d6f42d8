"""Run a job, and be killed: after a step, or while a checkpoint is written; or be asked to stop.

run_stage(job)                   to the end
run_stage(job, "step", n)        kill -9 after n steps of this process
run_stage(job, "file", name, n)  as soon as n checkpoints have the file `name`
run_stage(job, "asked", n, s)    signal s comes in step n + 1; the status is 128 + s where it stops
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from gristmill.stopping import Interrupted, stoppable
from train.job import Job
from train.run import run


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_when_written(folder: Path, name: str, count: int) -> None:
    while len(list(folder.glob(f"checkpoint-*/{name}"))) < count:
        time.sleep(0.0005)
    _kill()


def run_stage(job: Job, what: str = "", *when: str | int) -> None:
    """Run a job in this process."""
    left = [int(when[0])] if what in ("step", "asked") else []
    if what == "file":
        arguments = (Path(job.work) / "checkpoints", str(when[0]), int(when[1]))
        threading.Thread(target=_kill_when_written, args=arguments, daemon=True).start()

    def advance(steps: int) -> None:
        if left and steps == 1:
            left[0] -= 1
            if left[0] == 0 and what == "step":
                _kill()
            elif left[0] == 0:
                os.kill(os.getpid(), int(when[1]))

    try:
        with stoppable():
            run(job, advance, lambda _: None)
    except Interrupted:
        sys.exit(128 + int(when[1]))
