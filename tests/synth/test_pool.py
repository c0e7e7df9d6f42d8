"""The work pool: results, time limits that kill, deaths; processes leave with their parent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from synth.calls import Answer, Failure, Work
from synth.driving.pool import WorkPool
from tests.synth.fake_flows import rows, run

HERE = "tests.synth.fake_flows"


def collect(pool: WorkPool, count: int) -> dict[int, Answer | Failure]:
    found: dict[int, Answer | Failure] = {}
    until = time.monotonic() + 60
    while len(found) < count and time.monotonic() < until:
        found |= dict(pool.poll(0.5))
    return found


def test_each_call_gets_its_result_or_a_typed_failure_and_the_pool_goes_on() -> None:
    pool = WorkPool(2)
    try:
        for n in range(12):
            pool.submit(n, Work(f"{HERE}:stubborn", (n,), 0.3))
        found = collect(pool, 12)
        for n, answer in found.items():
            if n % 7 == 3:
                assert isinstance(answer, Failure) and answer.reason == "crashed"
                assert answer.detail == f"ValueError: no {n}"
            elif n % 5 == 2:
                assert isinstance(answer, Failure) and answer.reason == "crashed"
                assert "code 3" in answer.detail
            elif n % 3 == 1:
                assert isinstance(answer, Failure) and answer.reason == "timeout"
            else:
                assert isinstance(answer, Answer) and answer.value == n
        assert len(found) == 12
    finally:
        pool.close()


def test_a_function_that_is_not_there_is_a_failure() -> None:
    pool = WorkPool(1)
    try:
        pool.submit(1, Work("tests.nowhere:nothing"))
        (answer,) = collect(pool, 1).values()
        assert isinstance(answer, Failure) and "ModuleNotFoundError" in answer.detail
    finally:
        pool.close()


def test_arguments_that_cannot_be_sent_are_a_failure() -> None:
    pool = WorkPool(1)
    pool.submit(1, Work(f"{HERE}:double", (lambda: 1,)))
    (answer,) = collect(pool, 1).values()
    assert isinstance(answer, Failure) and "arguments" in answer.detail


def test_aborted_calls_are_not_answered() -> None:
    pool = WorkPool(1)
    try:
        pool.submit(1, Work(f"{HERE}:stubborn", (1,), 60))
        pool.submit(2, Work(f"{HERE}:double", (4,)))
        time.sleep(0.5)
        pool.poll(0.1)
        pool.abort([1])
        assert {k: getattr(v, "value", v) for k, v in collect(pool, 1).items()} == {2: 8}
    finally:
        pool.close()


def test_the_driver_answers_work_beside_models() -> None:
    do = [{"test.work": {"function": "double"}}, {"prompt": {"user": "{{ value }}"}}, "sample"]
    done = run(rows(30), do)
    assert [one.items[0].fields["value"] for one in done] == [2 * n for n in range(30)]


PARENT = """
import sys, time
from synth.calls import Work
from synth.driving.pool import WorkPool
pool = WorkPool(1)
pool.submit(0, Work("tests.synth.fake_flows:stubborn", (1,), 600))
while not any(p.call is not None for p in pool._processes):
    pool.poll(0.1)
print(pool._processes[0].popen.pid, flush=True)
time.sleep(600)
"""


def test_processes_die_with_their_parent() -> None:
    root = Path(__file__).resolve().parents[2]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, cwd=root
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    until = time.monotonic() + 20
    while _runs(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
