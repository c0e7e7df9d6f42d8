"""The bubblewrap command line: what a program sees of the machine, and as whom it runs.

In: limits and a user id. Out: arguments for `bwrap`, the same for every run but for a few.
Shown by: `python -m synth.sandbox`. Limit: Linux, bubblewrap 0.7 or later.

Inside there are: /usr and the libraries, the interpreter's own folders and the packages installed
beside us, all read-only; three devices; one bounded tmpfs at /tmp with the working folder in it. No
/proc, no /sys, no /etc but the linker's cache, no home, no network but none at all.

As root no user namespace is made: a process limit does not count for root even inside one, so
`setpriv` turns the program into a user id that nothing else has, without capabilities. As anybody
else bubblewrap makes a user namespace, where Linux 5.14 counts processes anew for every sandbox.
"""

from __future__ import annotations

import os
import resource
import secrets
import shutil
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from synth.sandbox.limits import Limits

FOLDER = "/tmp/work"  # where a program starts
TMP = "/tmp"
PACKAGES = "/packages"
_DEVICES = ("null", "zero", "urandom")  # each mount costs half a millisecond
_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin")
_OURS = ("bin", "lib", "lib64")  # of an interpreter's prefix: nothing else of it is shown
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": FOLDER,
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",  # sets of strings have one order: a program's outcome is repeatable
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": PACKAGES,
    "OMP_NUM_THREADS": "1",  # numerical packages start one thread a core: not within a limit
    "OPENBLAS_NUM_THREADS": "1",
}
_UIDS = (2_000_000_000, 140_000_000)  # first, how many: a range that no system hands out


def bwrap() -> str | None:
    """Its path, or None."""
    return shutil.which("bwrap")


@lru_cache(maxsize=1)
def interpreter() -> str:
    """The Python that runs us, all links resolved."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable) or sys.executable)


def by_root() -> bool:
    """Do we start sandboxes as root?"""
    return os.geteuid() == 0


@lru_cache(maxsize=1)
def root_arguments() -> tuple[str, ...]:
    """Namespaces, file systems and environment: what no run changes."""
    found = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    found += ["--unshare-cgroup-try", "--hostname", "sandbox", "--die-with-parent"]
    found += ["--new-session", "--clearenv"]
    if by_root():
        found += ["--cap-drop", "ALL"]
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):  # for setpriv, which drops
            found += ["--cap-add", capability]
    else:
        found += ["--unshare-user"]
    for name, value in _ENVIRONMENT.items():
        found += ["--setenv", name, value]
    for path in _SYSTEM:
        if os.path.islink(path):
            found += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            found += ["--ro-bind", path, path]
    prefix = Path(interpreter()).parent.parent
    if not any(prefix.is_relative_to(path) for path in _SYSTEM):
        for folder in (*reversed(prefix.parents[:-1]), prefix):
            found += ["--perms", "0755", "--dir", str(folder)]  # bubblewrap's own would be 0700
        for name in _OURS:
            found += ["--ro-bind-try", f"{prefix}/{name}", f"{prefix}/{name}"]
    packages = sysconfig.get_path("purelib")
    if os.path.isdir(packages):
        found += ["--ro-bind-try", packages, PACKAGES]
    for hidden in _with_pth(prefix):
        found += ["--tmpfs", hidden, "--remount-ro", hidden]
    found += ["--perms", "0755", "--dir", "/dev", "--perms", "0755", "--dir", "/etc"]
    found += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for name in _DEVICES:
        found += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    return (*found, "--symlink", "urandom", "/dev/random", "--symlink", TMP, "/dev/shm")


def _with_pth(prefix: Path) -> list[str]:
    """Folders of packages whose .pth files would run at each start: half its time, and not ours."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    found = [prefix / "lib" / version / "site-packages", Path("/usr/lib/python3/dist-packages")]
    found += [Path("/usr/local/lib", version, f"{kind}-packages") for kind in ("site", "dist")]
    return sorted({str(folder) for folder in found if folder.is_dir()})


def folder_arguments(disk: int, files: dict[str, int]) -> list[str]:
    """The bounded tmpfs and the files in it (name -> open descriptor); then all else is locked."""
    found = ["--size", str(disk), "--perms", "1777", "--tmpfs", TMP]
    found += ["--perms", "0777", "--dir", FOLDER]
    for name, descriptor in files.items():
        found += ["--perms", "0644", "--file", str(descriptor), f"{FOLDER}/{name}"]
    return [*found, "--remount-ro", "/", "--chdir", FOLDER]


def inner_command(command: tuple[str, ...], uid: int | None, limits: Limits) -> list[str]:
    """The command with `python3` resolved, under its limits, run as `uid` where we are root.

    They are set inside, so that they hold even where we are killed while a sandbox is made.
    """
    if command[0] in ("python3", "python"):
        command = (interpreter(), *command[1:])
    own = 0 if by_root() else 1  # bubblewrap's process counts for the same user
    bounds = {
        "cpu": limits.cpu,
        "data": limits.memory,
        "as": 4 * limits.memory + (2 << 30),  # shared maps, and pages that are only reserved
        "fsize": limits.disk,
        "nofile": limits.open_files,
        "nproc": limits.processes + own,
        "core": 0,
        "memlock": 0,
        "msgqueue": 0,
    }
    kept = ["prlimit"]
    for name, bound in bounds.items():
        most = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[1]
        value = bound if most == resource.RLIM_INFINITY else min(bound, most)
        # SIGXCPU at the soft limit of CPU; SIGKILL at the hard one, for those that ignore it
        more = int(name == "cpu" and most == resource.RLIM_INFINITY)
        kept.append(f"--{name}={value}:{value + more}")
    kept.append("--")
    if uid is None:
        return [*kept, *command]
    drop = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"]
    drop += ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
    return [*kept, *drop, *command]


class _Uids:
    """User ids for runs under way, from a block of this process's own."""

    def __init__(self) -> None:
        self._free: list[int] = []
        self._next = 0
        self._lock = threading.Lock()

    def take(self) -> int:
        """One that no other run has."""
        with self._lock:
            if self._free:
                return self._free.pop()
            if not self._next:
                self._next = _first_uid()
            self._next += 1
            return self._next

    def give(self, uid: int) -> None:
        """It is free again."""
        with self._lock:
            self._free.append(uid)


_uids = _Uids()


@contextmanager
def own_uid() -> Iterator[int | None]:
    """A user id for one run where we are root; None elsewhere."""
    if not by_root():
        yield None
        return
    uid = _uids.take()
    try:
        yield uid
    finally:
        _uids.give(uid)


def _first_uid() -> int:
    """Where our block begins: at random, so that two of us hardly ever meet."""
    first, count = _UIDS
    inside, _, length = map(int, Path("/proc/self/uid_map").read_text().split()[:3])
    if inside + length >= first + count:
        return first + secrets.randbelow(count - 65_536)
    return inside + max(1, length * 3 // 4)  # in a container with few ids: below nobody
