"""Limits: each one ends what exceeds it, and lets be what does not."""

from __future__ import annotations

import os

import pytest

from synth.sandbox import Limits, run
from synth.sandbox.watch import shared_once, usage
from tests.synth.sandbox.here import needs_sandbox

needs_sandbox()
THREADS = """
import threading, time
for _ in range(20):
    threading.Thread(target=time.sleep, args=(1,)).start()
"""
SMALL = Limits(cpu=1, idle=1, wall=10, memory=128 << 20, output=1000, processes=8)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("while True: pass", "time"),
        ("import time\ntime.sleep(100)", "time"),
        ("x = bytearray(200 << 20)", "memory"),
        ("print('x' * 1001)", "output"),
        ("print('x' * 999)", ""),
        ("import sys\nsys.stderr.write('x' * 600)\nprint('x' * 600)", "output"),
        (THREADS, "processes"),
        ("import os\nos.kill(os.getpid(), 9)", "killed"),
        ("x = bytearray(40 << 20)", ""),
    ],
)
def test_a_limit(program: str, why: str) -> None:
    assert run(program, limits=SMALL).why == why


def test_output_is_cut_at_the_limit() -> None:
    outcome = run("print('x' * 100_000)", limits=SMALL)
    assert outcome.stdout == "x" * 1000


def test_sleeping_within_the_idle_limit_is_allowed() -> None:
    outcome = run("import time\nfor _ in range(6): time.sleep(0.4)\nprint('ok')", limits=SMALL)
    assert outcome.stdout in ("ok\n", "") and outcome.why in ("", "time")


def test_waiting_for_a_child_that_works_is_not_idle() -> None:
    program = """
import os, time
if os.fork() == 0:
    end = time.process_time() + 1.5
    while time.process_time() < end:
        pass
    os._exit(0)
os.wait()
print("ok")
"""
    outcome = run(program, limits=Limits(cpu=5, idle=1))
    assert (outcome.stdout, outcome.why) == ("ok\n", "")


def test_cpu_of_all_processes_counts() -> None:
    program = "import os\nos.fork()\nos.fork()\nwhile True: pass"
    outcome = run(program, limits=Limits(cpu=2))
    assert outcome.why == "time"
    assert outcome.cpu_seconds < 6


def test_a_process_looks_at_itself() -> None:
    """The watch on processes that we know: ourselves."""
    found = usage(os.getpid())
    assert found.cpu > 0
    assert shared_once(os.getpid()) > 10 << 20
