"""Limits of one run in the sandbox, and what a run came to.

In: what a user writes, e.g. `Limits(cpu=4)`. Out: an Outcome for every program, good or bad.
Shown by: `python -m synth.sandbox`.
Limit: memory is watched from outside every 50 ms; between two looks many processes can take more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Why = Literal["", "time", "memory", "output", "processes", "killed"]


class Limits(BaseModel):
    """What one program may use. CPU time decides first, so that a busy machine changes nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu: int = Field(10, ge=1, le=86_400)  # seconds of CPU, all its processes together
    idle: float = Field(5.0, gt=0)  # seconds without any CPU use or work to do: it only waits
    wall: float = Field(120.0, gt=0)  # seconds in all; generous, for what the other two miss
    memory: int = Field(512 << 20, ge=64 << 20)  # bytes, each process and all of them together
    disk: int = Field(64 << 20, ge=1 << 20)  # bytes in its working folder and /tmp
    names: int = Field(4096, ge=16)  # files and folders there
    output: int = Field(1 << 20, ge=1)  # bytes of stdout and stderr together
    processes: int = Field(32, ge=2)  # processes and threads
    open_files: int = Field(128, ge=16)  # per process


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
