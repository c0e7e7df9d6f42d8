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

    cpu: Annotated[int, Field(ge=1, le=86_400)] = 10  # seconds of CPU, all its processes together
    idle: Annotated[float, Field(gt=0)] = (
        5.0  # seconds without any CPU use or work to do: it only waits
    )
    wall: Annotated[float, Field(gt=0)] = (
        120.0  # seconds in all; generous, for what the other two miss
    )
    memory: Annotated[int, Field(ge=64 << 20)] = (
        512 << 20
    )  # bytes, each process and all of them together
    disk: Annotated[int, Field(ge=1 << 20)] = 64 << 20  # bytes in its working folder and /tmp
    names: Annotated[int, Field(ge=16)] = 4096  # files and folders there
    output: Annotated[int, Field(ge=1)] = 1 << 20  # bytes of stdout and stderr together
    processes: Annotated[int, Field(ge=2)] = 32  # processes and threads
    open_files: Annotated[int, Field(ge=16)] = 128  # per process


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a program.

    returncode: as a shell tells it, 128 + n where signal n ended it; signal: its name ("SIGSEGV").
    why: the limit that ended it; "killed" where it was ended from outside; "" otherwise.
    """

    returncode: int
    signal: str
    stdout: str
    stderr: str
    why: Why
    cpu_seconds: float
    wall_seconds: float
