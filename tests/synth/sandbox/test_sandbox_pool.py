"""The pool: many programs at once, apart from one another, answered by ticket."""

from __future__ import annotations

import time

from synth.calls import Answer, Execute, Failure
from synth.sandbox import Limits, SandboxPool
from tests.synth.sandbox.here import needs_sandbox

needs_sandbox()
Found = dict[int, Answer | Failure]


def collect(pool: SandboxPool, count: int) -> Found:
    found: Found = {}
    end = time.monotonic() + 120
    while len(found) < count and time.monotonic() < end:
        found.update(pool.poll(1.0))
    return found


def test_eight_at_once_are_apart() -> None:
    """Each writes the same file and waits; each then finds its own, and only its own processes."""
    program = """
import os, time
me = input()
open("mine", "w").write(me)
open("/tmp/mine", "w").write(me)
time.sleep(0.5)
try:
    os.kill(2 + 1000, 0)
except ProcessLookupError:
    print(open("mine").read(), open("/tmp/mine").read(), sorted(os.listdir(".")))
"""
    pool = SandboxPool(slots=8)
    for ticket in range(8):
        pool.submit(ticket, Execute(program, stdin=f"run {ticket}"))
    found = collect(pool, 8)
    pool.close()
    for ticket in range(8):
        answer = found[ticket]
        assert isinstance(answer, Answer)
        wanted = f"run {ticket} run {ticket} ['main.py', 'mine']\n"
        assert answer.value.stdout == wanted, answer.value


def test_process_limits_are_of_each_run() -> None:
    """Eight runs of six processes each, under a limit of eight."""
    program = """
import os, time
for _ in range(5):
    if os.fork() == 0:
        time.sleep(0.5)
        os._exit(0)
for _ in range(5):
    os.wait()
print("ok")
"""
    pool = SandboxPool(slots=8, limits=Limits(processes=8))
    for ticket in range(8):
        pool.submit(ticket, Execute(program))
    found = collect(pool, 8)
    pool.close()
    assert [one.value.stdout for one in found.values() if isinstance(one, Answer)] == ["ok\n"] * 8


def test_more_calls_than_slots() -> None:
    pool = SandboxPool(slots=2)
    for ticket in range(7):
        pool.submit(ticket, Execute(f"print({ticket} ** 2)"))
    found = collect(pool, 7)
    pool.close()
    printed = [found[n].value.stdout for n in range(7)]  # type: ignore[union-attr]
    assert printed == [f"{n * n}\n" for n in range(7)]


def test_abort_kills_and_forgets() -> None:
    pool = SandboxPool(slots=1)
    pool.submit(1, Execute("while True: pass"))
    pool.submit(2, Execute("while True: pass"))
    pool.submit(3, Execute("print('ok')"))
    time.sleep(0.2)
    pool.abort([1, 2])
    found = collect(pool, 1)
    assert list(found) == [3]
    pool.close()
    pool.close()


def test_close_does_not_wait_for_programs() -> None:
    pool = SandboxPool(slots=2)
    pool.submit(1, Execute("import time\ntime.sleep(1000)"))
    time.sleep(0.2)
    pool.close()
    assert pool.poll(0.0) == []


def test_what_cannot_be_run_is_a_failure() -> None:
    pool = SandboxPool(slots=1)
    pool.submit(1, Execute("print(1)", files={"../x": ""}))
    answer = collect(pool, 1)[1]
    pool.close()
    assert isinstance(answer, Failure)
    assert answer.reason == "rejected"
