"""Ctrl-C and SIGTERM, to the driver or to all: who can save does, others end as they always did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gristmill.stopping import AGAIN
from tests.pipelines.test_whole import children
from tests.run_step import RECIPES

pytestmark = pytest.mark.slow
ROOT = RECIPES.parents[1]
RUN = "from tests.pipelines.saving import main; main()"  # importable, so that workers can
SAID = "stopping: save first saves what it has; once more ends it at once\n"


def start(folder: Path, how: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), how],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    mark = folder / ("began" if how in ("early", "plain") else "ready")
    end = time.monotonic() + 120
    while not mark.exists():
        assert process.poll() is None and time.monotonic() < end, "it does not begin"
        time.sleep(0.02)
    return process


def told(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=120)
    return process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("to_all", [False, True])
def test_a_task_saves_what_it_has(number: signal.Signals, to_all: bool, tmp_path: Path) -> None:
    process = start(tmp_path, "saves")
    (os.killpg if to_all else os.kill)(process.pid, number)
    assert told(process) == (128 + number, f"{SAID}stopped: what there was\n")
    assert not list(tmp_path.glob("store/.staging/*/save/*"))  # a failure, a half of a task


@pytest.mark.parametrize(
    "how, code, said",
    [
        ("early", 143, "stopped: \n"),  # nothing to save yet
        ("ends", 143, "stopped: \n"),  # its end came first, and is kept
        ("fails", 1, "is wrong\n"),
    ],
)
def test_other_ends(how: str, code: int, said: str, tmp_path: Path) -> None:
    process = start(tmp_path, how)
    os.killpg(process.pid, signal.SIGTERM)
    found = told(process)
    assert found[0] == code and found[1].startswith(SAID) and found[1].endswith(said)
    assert bool(list(tmp_path.glob("store/.staging/*/save/all/task.json"))) == (how == "ends")


def test_a_worker_that_alone_is_asked_ends_the_run(tmp_path: Path) -> None:
    process = start(tmp_path, "saves")
    (worker,) = children(process.pid)
    os.kill(worker, signal.SIGTERM)
    assert told(process) == (143, "stopped: what there was\n")


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    process = start(tmp_path, "stubborn")
    process.send_signal(signal.SIGINT)
    time.sleep(AGAIN + 0.3)
    process.send_signal(signal.SIGINT)
    assert told(process) == (130, f"{SAID}ended\n")


@pytest.mark.parametrize("number, code, said", [(2, 130, "ended\n"), (15, -15, "")])
def test_other_phases_end_as_they_always_did(
    number: int, code: int, said: str, tmp_path: Path
) -> None:
    process = start(tmp_path, "plain")
    process.send_signal(number)
    assert told(process) == (code, said)
