"""The machine outside, as attacks find it: a secret, sockets, a process; and a look at it after.

In: attacks by name. Out: for each what came of it and what, if anything, was breached.
Shown by: `python -m synth.sandbox`. Limit: a change elsewhere on the machine is not seen.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth.sandbox.attacks.escapes import ESCAPES
from synth.sandbox.attacks.resources import RESOURCES
from synth.sandbox.limits import Limits, Outcome
from synth.sandbox.run import run
from synth.sandbox.system_calls import numbers

TIGHT = Limits(
    cpu=2,
    idle=1,
    wall=6,
    memory=128 << 20,
    disk=8 << 20,
    names=500,
    output=100_000,
    processes=16,
    open_files=64,
)
# What every attack begins with: `given` tells where the outside is; `call` is a bare system call.
_BEFORE = """
import ctypes, json, os, sys
given = json.load(sys.stdin)
def call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    plain = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    found = libc.syscall(ctypes.c_long(given["calls"][name]), *plain)
    if found < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found
def attempt(what, action):
    try:
        found = action()
    except Exception as error:
        print(f"{what}: {type(error).__name__}: {error}"[:100])
    else:
        print(f"ESCAPED {what}: {found!r:.100}")
"""
ATTACKS: dict[str, tuple[str, tuple[str, ...]]] = {
    **RESOURCES,
    **{name: (program, ("", "killed")) for name, program in ESCAPES.items()},
}


@dataclass(frozen=True, slots=True)
class Result:
    """One attack: what came of it, and what it breached (empty: the sandbox held)."""

    name: str
    outcome: Outcome
    breaches: tuple[str, ...]


@dataclass(slots=True)
class _Outside:
    folder: Path
    given: dict[str, Any]
    canary: subprocess.Popen[bytes]
    listeners: list[socket.socket]

    def breaches(self) -> list[str]:
        """What is not as it was."""
        found = []
        if sorted(path.name for path in self.folder.iterdir()) != ["secret", "socket"]:
            found.append("a file was made or removed outside")
        if (self.folder / "secret").read_text() != self.given["canary"]:
            found.append("a file was changed outside")
        if self.canary.poll() is not None:
            found.append("a process outside was killed")
        for listener in self.listeners:
            try:
                listener.accept()[0].close()
            except BlockingIOError:
                continue
            found.append(f"something connected to {listener.getsockname()!r}")
        return found


@contextmanager
def _outside() -> Iterator[_Outside]:
    name = secrets.token_hex(8)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "secret").write_text(name)
        listeners = []
        for family, address in (
            (socket.AF_INET, ("127.0.0.1", 0)),
            (socket.AF_UNIX, f"{folder}/socket"),
            (socket.AF_UNIX, f"\0{name}"),
        ):
            listener = stack.enter_context(socket.socket(family))
            listener.bind(address)
            listener.listen()
            listener.setblocking(False)
            listeners.append(listener)
        canary = subprocess.Popen(["sleep", "1000"], env={"CANARY": name, "PATH": os.defpath})
        stack.callback(canary.wait)
        stack.callback(canary.kill)
        given = {
            "secret": f"{folder}/secret",
            "folder": str(folder),
            "socket": f"{folder}/socket",
            "canary": name,
            "port": listeners[0].getsockname()[1],
            "pid": canary.pid,
            "parent": os.getpid(),
            "disk": TIGHT.disk,
            "calls": numbers(os.uname().machine),
        }
        os.environ["GRISTMILL_CANARY"] = name
        stack.callback(os.environ.pop, "GRISTMILL_CANARY", None)
        yield _Outside(folder, given, canary, listeners)


def attack(name: str) -> Result:
    """Run one attack against a machine of its own and look what it left."""
    program, expected = ATTACKS[name]
    with _outside() as outside:
        marker = f"attack-{outside.given['canary']}"
        outcome = run(
            _BEFORE + program,
            stdin=json.dumps(outside.given),
            limits=TIGHT,
            command=("python3", "main.py", marker),
        )
        breaches = outside.breaches()
        breaches += [f"process {pid} is still there" for pid in _named(marker)]
    breaches += [line for line in outcome.stdout.splitlines() if line.startswith("ESCAPED")]
    if outside.given["canary"] in outcome.stdout:
        breaches.append("it printed the secret")
    if outcome.why not in expected:
        breaches.append(f"ended by {outcome.why or 'itself'!r}: {outcome.stderr[-200:]}")
    return Result(name, outcome, tuple(breaches))


def _named(marker: str) -> list[int]:
    """Processes on this machine with `marker` on their command line."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            try:
                text = Path(entry.path, "cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in text:
                found.append(int(entry.name))
    return found
