"""Open files that a run is given: texts in memory, pipes.

In: a text. Out: a descriptor that is closed with the run; nothing is left on a disk.
Shown by: `python -m pytest tests/synth/sandbox/test_run.py`. Limit: Linux.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack
from pathlib import PurePosixPath

from gristmill.errors import RecipeError

_SEALED = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Descriptor:
    """An open file that is closed once: the next one opened anywhere has the same number."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        """Close it, unless it was."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def memory(stack: ExitStack, text: str | bytes) -> int:
    """A text as an open file in memory, read from its beginning."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    held = descriptor(stack, os.memfd_create("sandbox", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
    with open(held.fd, "wb", closefd=False) as handle:
        handle.write(data)
    os.lseek(held.fd, 0, os.SEEK_SET)
    fcntl.fcntl(held.fd, fcntl.F_ADD_SEALS, _SEALED)  # as stdin it must not be filled
    return held.fd


def descriptor(stack: ExitStack, fd: int) -> Descriptor:
    """Closed with the stack where it is not before."""
    held = Descriptor(fd)
    stack.callback(held.close)
    return held


def pipe(stack: ExitStack) -> tuple[Descriptor, Descriptor]:
    """The end to read and the end to write."""
    source, sink = os.pipe()
    return descriptor(stack, source), descriptor(stack, sink)


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
