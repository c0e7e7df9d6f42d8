"""What a failed phase tells: what failed, why, and whether the same command can help.

In: a phase, this run's failures, else those that lie beside its tasks. Out: a message.
Shown by: any run whose disk is full. Limit: of several failed tasks the first one is told.

A worker that died, a disk, a network and memory may do better next time. What a step refuses, and
what breaks in its code, comes again: there the message says only what to mend.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from gristmill.step import Phase, Task
from gristmill.task import failure

_MAY_PASS = {"MemoryError", "TimeoutError", "ConnectionError", "EOFError", "InterruptedError"}


def explain_failure(
    phase: Phase, missing: list[Task], staging: Path, problems: list[dict[str, Any]]
) -> str:
    """What failed, why, and what to do: from this run's failures, else from the tasks' records."""
    told = problems or [found for t in missing if (found := failure(staging, phase.name, t.id))]
    done = len(phase.tasks) - len(missing)
    kept = f"{done} of {len(phase.tasks)} tasks are done and kept"
    again = f"{kept}; the same command continues"
    if not told:
        return f"phase {phase.name}: task {missing[0].id} left no record. {again}"
    first = told[0]
    if first["errno"] == errno.ENOSPC:
        return f"the disk is full: {first['message']}. Free space; {again}"
    if first["user_error"]:
        return f"{first['message']} ({kept})" if done else str(first["message"])
    trace = f"\n{first['traceback']}" if first.get("traceback") else ""
    after = f". {again}" if _may_pass(first) else f". {kept}" if done else ""
    return f"phase {phase.name}, task {first['task']}: {first['error']}{after}{trace}"


def _may_pass(problem: dict[str, Any]) -> bool:
    """Whether another try can end otherwise."""
    error = str(problem["error"])
    return (
        not problem.get("traceback")  # its worker died
        or problem["errno"] is not None
        or error.partition(":")[0] in _MAY_PASS
        or "out of memory" in error.lower()
    )
