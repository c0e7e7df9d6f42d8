"""What the processes of one sandbox use, seen from outside through /proc.

In: the process id of the sandbox's first process. Out: CPU seconds, bytes, processes, files.
Shown by: `python -m pytest tests/synth/sandbox/test_limits.py`.
Limit: a process that starts and ends between two looks is seen only through its parent.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Usage:
    """Sums over all processes of a sandbox but its first, which is bubblewrap's own."""

    cpu: float = 0.0  # seconds, children that ended included
    memory: int = 0  # bytes resident; shared pages once where `shared_once` made it
    tasks: int = 0  # processes and threads
    working: bool = False  # one of them is on a processor, waits for one, or for a disk


def usage(first: int) -> Usage:
    """A look at every process. Memory counts pages that processes share several times."""
    found = Usage()
    for pid, threads in _tree(first):
        try:
            after_name = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        found.cpu += sum(map(int, after_name[11:15])) / _TICKS
        if pid == first:
            continue
        found.tasks += threads
        found.memory += int(after_name[21]) * _PAGE
        found.working |= after_name[0] in (b"R", b"D")
    return found


def shared_once(first: int) -> int:
    """Bytes resident, each shared page divided among its users. Slower than `usage`."""
    total = 0
    for pid, _ in _tree(first):
        try:
            text = _read(f"/proc/{pid}/smaps_rollup")
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line[:4] == b"Pss:")
    return total * 1024


def names_used(first: int, folder: str, size: int) -> int:
    """Files and folders on the file system of `size` bytes that a sandbox sees at `folder`.

    Until bubblewrap has changed its root, the path leads to the machine's own: the size tells.
    """
    try:
        state = os.statvfs(f"/proc/{first}/root{folder}")
    except OSError:
        return 0
    if abs(state.f_blocks * state.f_frsize - size) > _PAGE:
        return 0
    return state.f_files - state.f_ffree


def _tree(first: int) -> list[tuple[int, int]]:
    """Every process that descends from the first, and how many threads it has."""
    found = []
    open_ends = [first]
    while open_ends:
        pid = open_ends.pop()
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        found.append((pid, len(threads)))
        for thread in threads:
            try:
                open_ends += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
            except OSError:
                continue
    return found


def _read(path: str) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(handle, 1 << 16)
    finally:
        os.close(handle)
