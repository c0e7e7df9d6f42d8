"""Workers that die: which record was in hand, and whether another try can help.

In: a process that has gone. Out: `TASK.crashes.json` beside the task; a failure, for people.
Shown by: `python -m pytest tests/pipelines/test_crash.py`.
Limit: what was in hand is known where the step marks its records (gristmill.marker).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from gristmill.marker import read_marker
from gristmill.step import Phase, Task
from gristmill.task import crashes

MAX_CRASHES = 20  # records laid aside in one task before it counts as failed


def died(phase: Phase, task: Task, process: subprocess.Popen[bytes], record: str) -> dict[str, Any]:
    """The failure of a task whose worker died too often."""
    code = process.returncode
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    where = f" at record {record!r}" if record else ""
    less = "make its batches smaller" if phase.workers == 1 else "use fewer --workers"
    why = f"its worker {how}{where}, again and again; if memory ran out, {less}"
    return {"task": task.id, "error": why, "user_error": False, "errno": None}


def hopeless(known: list[str]) -> bool:
    """Too many records crash a task, or one that should have been left out by now."""
    records = Counter(record for record in known if record)
    return len(records) > MAX_CRASHES or max(records.values(), default=0) > 4


def note_crash(
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
