"""Run one program in a sandbox of its own, and say what came of it.

In: the text of a program, its stdin, files beside it, limits. Out: an Outcome, never an exception
of the program's making. Shown by: `python -m synth.sandbox`.
Limit: bubblewrap tells an exit code above 128 and a signal alike.

The sandbox is held back until we have a handle on its first process; then three things
are waited for: its output, its end, and the next look at what it uses. Killing the first process
of a pid namespace kills every other one in it, whatever it ignores or became.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress

from gristmill.stopping import asked
from synth.sandbox import bubblewrap
from synth.sandbox.available import SandboxError, available
from synth.sandbox.descriptors import check_name, memory, pipe, write
from synth.sandbox.limits import Limits, Outcome, Why, why_it_ended
from synth.sandbox.system_calls import seccomp_filter
from synth.sandbox.watch import Usage, names_used, shared_once, usage

LOOK = 0.05  # seconds between two looks at what a program uses
CROWDED = 4  # looks at the limit of processes that show a program which stays there
PYTHON = ("python3", "main.py")  # -I would ignore PYTHONHASHSEED; the environment is empty anyway


def run(
    program: str,
    *,
    stdin: str = "",
    files: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    command: tuple[str, ...] = PYTHON,
    stop: threading.Event | None = None,
) -> Outcome:
    """Run `command` where `program` is main.py and `files` lie beside it.

    stop: set from another thread, it kills the program within LOOK seconds. SandboxError where
    there is no sandbox: a program never runs without one.
    """
    reason = available()
    if reason:
        raise SandboxError(reason)
    given = (program, stdin, files or {}, limits or Limits(), command, stop)
    try:
        outcome = run_unprobed(*given)
    except SandboxError:
        if asked() is None:
            raise
    else:
        if asked() is None or outcome.returncode != 128 + signal.SIGTERM:
            return outcome
    return run_unprobed(*given)  # SIGTERM was for us all, and we finish what is under way


def run_unprobed(
    program: str,
    stdin: str,
    files: Mapping[str, str],
    limits: Limits,
    command: tuple[str, ...],
    stop: threading.Event | None,
) -> Outcome:
    """`run` without asking first whether there can be a sandbox: what the probe itself uses."""
    for name in files:
        check_name(name)
    began = time.monotonic()
    with ExitStack() as stack:
        uid = stack.enter_context(bubblewrap.own_uid())
        given = {"main.py": program, **files}
        sources = {name: memory(stack, text) for name, text in given.items()}
        text = memory(stack, stdin)
        rules = memory(stack, seccomp_filter(os.uname().machine))
        status, status_in = pipe(stack)
        hold_in, hold = pipe(stack)
        arguments = [bubblewrap.bwrap() or "bwrap", *bubblewrap.root_arguments()]
        arguments += bubblewrap.folder_arguments(limits.disk, sources)
        arguments += ["--seccomp", str(rules), "--json-status-fd", str(status_in.fd)]
        arguments += [
            "--block-fd",
            str(hold_in.fd),
            "--",
            *bubblewrap.inner_command(command, uid, limits),
        ]
        process = subprocess.Popen(
            arguments,
            stdin=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={},
            cwd="/",
            pass_fds=(*sources.values(), rules, status_in.fd, hold_in.fd),
            bufsize=0,
        )
        status_in.close()
        hold_in.close()
        return _Run(process, status.fd, hold.fd, limits, began, stop).finish()


class _Run:
    """One sandbox under way."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        status: int,
        hold: int,
        limits: Limits,
        began: float,
        stop: threading.Event | None,
    ) -> None:
        self.process, self.status, self.hold = process, status, hold
        self.limits, self.began, self.stop = limits, began, stop
        self.first = 0  # the process id of the sandbox's first process
        self.handle = -1  # the same as a pidfd: it never names another process
        self.why: Why = ""
        self.output: dict[int, bytearray] = {}
        self.crowded = 0  # looks in a row at the limit of processes
        self.busy_at = began  # when it last used the processor
        self.cpu = 0.0

    def finish(self) -> Outcome:
        """Let it go, follow it to its end, and tell."""
        try:
            self._release()
            self._follow()
        except BaseException:
            self._kill("killed")
            self.process.kill()
            raise
        finally:
            code = self.process.wait()
            for pipe_end in (self.process.stdout, self.process.stderr):
                if pipe_end:
                    pipe_end.close()
            if self.handle >= 0:
                os.close(self.handle)
                with suppress(ChildProcessError):  # ours only where we are a container's process 1
                    os.waitpid(self.first, 0)
        said = os.read(self.status, 1 << 16)
        if not self.why and b'"exit-code"' not in said:
            raise SandboxError(f"bubblewrap could not start: {self._text(1)[-400:].strip()}")
        return self._outcome(code)

    def _release(self) -> None:
        """Get hold of its first process, then let the program begin."""
        said = b""
        while b"\n" not in said:  # it writes a line in several pieces
            piece = os.read(self.status, 1 << 16)
            if not piece:
                return  # it could not start; its stderr says why
            said += piece
        self.first = json.loads(said.partition(b"\n")[0])["child-pid"]
        self.handle = os.pidfd_open(self.first)
        for pid in (self.first, self.process.pid):  # should memory run out, it goes before us
            with suppress(OSError):
                write(f"/proc/{pid}/oom_score_adj", "1000")
        os.write(self.hold, b".")

    def _follow(self) -> None:
        """Read what it writes and look at what it uses, until it is gone."""
        ends = [pipe.fileno() for pipe in (self.process.stdout, self.process.stderr) if pipe]
        self.output = {end: bytearray() for end in ends}
        waiting = select.poll()
        for end in ends:
            waiting.register(end, select.POLLIN)
        gone = os.pidfd_open(self.process.pid)
        waiting.register(gone, select.POLLIN)
        try:
            look = time.monotonic() + LOOK
            left = {*ends, gone}
            if self.handle >= 0:  # gone when every process of its namespace is
                waiting.register(self.handle, select.POLLIN)
                left.add(self.handle)
            while left:
                wait = max(0.0, look - time.monotonic())
                for end, _ in waiting.poll(wait * 1000):
                    if end == gone:  # children that the program left are still there
                        self._signal()
                    if end in (gone, self.handle) or not self._read(end):
                        waiting.unregister(end)
                        left.discard(end)
                if time.monotonic() >= look:
                    self._look()
                    look = time.monotonic() + LOOK
        finally:
            os.close(gone)

    def _read(self, end: int) -> bool:
        data = os.read(end, 1 << 16)
        room = self.limits.output - sum(map(len, self.output.values()))
        self.output[end] += data[: max(0, room)]
        if len(data) > room:
            self._kill("output")
        return bool(data)

    def _look(self) -> None:
        """Kill it for a limit that the kernel does not keep for a group of processes."""
        now = time.monotonic()
        if self.stop is not None and self.stop.is_set():
            return self._kill("killed")
        if not self.first:
            return None
        seen: Usage = usage(self.first)
        if seen.working or seen.cpu > self.cpu or not seen.tasks:
            self.busy_at = now
        self.cpu = max(self.cpu, seen.cpu)
        self.crowded = self.crowded + 1 if seen.tasks >= self.limits.processes else 0
        if self.crowded >= CROWDED:
            return self._kill("processes")
        if seen.memory > self.limits.memory and shared_once(self.first) > self.limits.memory:
            return self._kill("memory")
        names = names_used(self.first, bubblewrap.TMP, self.limits.disk)
        if names > self.limits.names:
            return self._kill("memory")  # every name is kernel memory that no disk limit counts
        late = now - self.began > self.limits.wall or now - self.busy_at > self.limits.idle
        if late or seen.cpu > self.limits.cpu:
            return self._kill("time")
        return None

    def _kill(self, why: Why) -> None:
        self.why = self.why or why
        self._signal()

    def _signal(self) -> None:
        with suppress(OSError):
            if self.handle >= 0:
                signal.pidfd_send_signal(self.handle, signal.SIGKILL)

    def _outcome(self, code: int) -> Outcome:
        ended = ""
        with suppress(ValueError):
            ended = signal.Signals(code - 128).name if code > 128 else ""
        errors = self._text(1)
        why = self.why or why_it_ended(ended, code, errors)
        wall = time.monotonic() - self.began
        return Outcome(code, ended, self._text(0), errors, why, self.cpu, wall)

    def _text(self, which: int) -> str:
        return bytes(list(self.output.values())[which]).decode("utf-8", "replace")
