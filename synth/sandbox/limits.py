"""Limits of one run in the sandbox, and what a run came to.

In: what a user writes, e.g. `Limits(cpu=4)`. Out: an Outcome for every program, good or bad.
Shown by: `python -m synth.sandbox`.
Limit: memory is watched from outside every 50 ms; between two looks many processes can take more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Why = Literal["", "time", "memory", "output", "processes", "killed"]


class Limits(BaseModel):
    """What one program may use. CPU time decides first, so that a busy machine changes nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # seconds of CPU, all its processes together
    cpu: Annotated[int, Field(ge=1, le=86_400)] = 10
    # seconds in which it only waits: nothing of it runs, or wants to
    idle: Annotated[float, Field(gt=0)] = 5.0
    # seconds in all: generous, for what the other two miss
    wall: Annotated[float, Field(gt=0)] = 120.0
    # bytes, of each process and of all together
    memory: Annotated[int, Field(ge=64 << 20)] = 512 << 20
    # bytes, and files and folders, in its working folder and /tmp
    disk: Annotated[int, Field(ge=1 << 20)] = 64 << 20
    names: Annotated[int, Field(ge=64)] = 4096
    # bytes of stdout and stderr together
    output: Annotated[int, Field(ge=1)] = 1 << 20
    # processes and threads
    processes: Annotated[int, Field(ge=2)] = 32
    # per process
    open_files: Annotated[int, Field(ge=16)] = 128


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a program.

    returncode: as a shell tells it, 128 + n where signal n ended it; signal: its name ("SIGSEGV").
    why: the limit that ended it; "killed" where SIGKILL came from elsewhere; "" otherwise.
    cpu_seconds: as last seen, up to 50 ms before its end.
    """

    returncode: int
    signal: str
    stdout: str
    stderr: str
    why: Why
    cpu_seconds: float
    wall_seconds: float


def why_it_ended(ended: str, code: int, errors: str) -> Why:
    """The limit that the kernel held a program to, as far as its end shows it."""
    if ended in ("SIGKILL", "SIGXCPU"):
        return "time" if ended == "SIGXCPU" else "killed"
    last = errors.rstrip().rpartition("\n")[2] if code else ""
    if last.startswith("MemoryError"):
        return "memory"
    if last.startswith(("BlockingIOError: [Errno 11]", "RuntimeError: can't start new thread")):
        return "processes"
    return ""
