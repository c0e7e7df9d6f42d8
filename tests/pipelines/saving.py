"""A step that saves what it has when it is asked to, run by a process of its own.

In: a folder, how. Out: `began` and `ready` in the folder; the exit status, and why on stderr.
Shown by: tests/pipelines/test_stopping.py. Limit: one task.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gristmill.errors import GristmillError
from gristmill.progress import Progress
from gristmill.step import Phase, Step, StepRun, Task, TaskContext
from gristmill.stopping import Interrupted, asked, ready
from gristmill.store import Store
from pipelines.local import LocalExecutor
from pipelines.run import run_step


class Saving(Step):
    """`how`: saves, early (not ready yet), stubborn, ends, fails, plain (a phase that cannot)."""

    use: str = "saving"
    how: str
    folder: str

    def phases(self, run: StepRun) -> Iterator[Phase]:
        task = Task("all", save, {"how": self.how, "folder": self.folder})
        yield Phase("save", [task], workers=1, saves=self.how != "plain")


def save(ctx: TaskContext, how: str, folder: str) -> dict[str, Any]:
    """Work until asked to stop."""
    (Path(folder) / "began").touch()
    if how not in ("early", "plain"):
        ready()
        (Path(folder) / "ready").touch()
    for step in range(3000):
        time.sleep(0.01)
        if asked() is None or how == "stubborn":
            continue
        if how == "fails":
            raise GristmillError(f"step {step} is wrong")
        if how == "ends":
            break
        raise Interrupted("what there was")
    return {}


def main() -> None:
    """Run the step; the end as the command line tells it."""
    folder, how = sys.argv[1:]
    step = Saving(name="saved", how=how, folder=folder)
    try:
        with LocalExecutor(1) as executor, Progress() as progress:
            run_step(step, Store(Path(folder) / "store"), executor, progress, {})
    except GristmillError as error:
        sys.exit(f"error: {error}")
    except Interrupted as stopped:
        print(f"stopped: {stopped}", file=sys.stderr)
        sys.exit(128 + stopped.number)
    except KeyboardInterrupt:
        print("ended", file=sys.stderr)
        sys.exit(130)
