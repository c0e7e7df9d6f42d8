"""Open files that a run is given: texts in memory, pipes.

In: a text. Out: a descriptor that is closed with the run; nothing is left on a disk.
Shown by: `python -m pytest tests/synth/sandbox/test_run.py`. Limit: Linux.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, suppress
from pathlib import PurePosixPath

from gristmill.errors import RecipeError

_SEALED = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Memory:
    """A text as an open file in memory, from its beginning: nothing is left on a disk."""

    def __init__(self, text: str | bytes) -> None:
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        self.fd = os.memfd_create("sandbox", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with open(self.fd, "wb", closefd=False) as handle:
            handle.write(data)
        os.lseek(self.fd, 0, os.SEEK_SET)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALED)  # as stdin it must not be filled

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def pipe(stack: ExitStack) -> tuple[int, int]:
    """Two ends, closed with the stack where they are not before."""
    ends = os.pipe()
    for end in ends:
        stack.callback(_close, end)
    return ends


def _close(descriptor: int) -> None:
    with suppress(OSError):
        os.close(descriptor)


def write(path: str, text: str) -> None:
    """Into a file of /proc."""
    with open(path, "w") as handle:
        handle.write(text)


def check_name(name: str) -> None:
    """RecipeError where a file would not lie in the working folder."""
    path = PurePosixPath(name)
    if (
        path.is_absolute()
        or ".." in path.parts
        or str(path) != name
        or name in ("", ".", "main.py")
    ):
        raise RecipeError(f"file {name!r} for the sandbox; give a relative path such as data.txt")
