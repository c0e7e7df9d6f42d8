"""Live runs: which processes work on a run's staging, and what the run reads.

In: a staging directory. Out: process ids; `run.json`, which the run keeps beside its tasks.
Shown by: `gristmill status` while a run is under way.
Limit: processes of this machine; a run of another counts by how lately its staging changed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

_ALIVE = ".alive-"  # and the id of the process that works here
_RUN = "run.json"


def sign_in(staging: Path) -> bool:
    """Say that this process works here; whether another one does so already."""
    (staging / f"{_ALIVE}{os.getpid()}").touch()
    return bool(live_processes(staging) - {os.getpid()})


def live_processes(staging: Path) -> set[int]:
    """Ids of the processes that work here and are alive."""
    noted = [file.name.removeprefix(_ALIVE) for file in staging.glob(f"{_ALIVE}*")]
    found = {int(pid) for pid in noted if pid.isdigit()}
    if isinstance(started_by := read_note(staging).get("pid"), int):
        found.add(started_by)
    return {pid for pid in found if _is_alive(pid)}


def write_note(staging: Path, note: dict[str, Any]) -> None:
    """`run.json`: the step, its recipe and parents, its phases."""
    temporary = staging / f".run-{os.getpid()}.json"
    temporary.write_text(json.dumps(note, indent=1))
    os.replace(temporary, staging / _RUN)


def read_note(staging: Path) -> dict[str, Any]:
    """What `run.json` says; {} where there is none, or none any more."""
    try:
        note: dict[str, Any] = json.loads((staging / _RUN).read_text())
    except (OSError, ValueError):
        return {}
    return note


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # another user's
    except OSError:
        return False
    return True
