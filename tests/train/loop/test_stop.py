"""A stage that is asked to stop loses no step, and goes on to the end of one that was not."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "accelerate")

from gristmill.store import Store  # noqa: E402
from tests.train.loop.make_stage import (  # noqa: E402
    LLAMA,
    ROOT,
    finish,
    finish_apart,
    make_job,
    make_mixture,
    weights,
)
from tests.train.loop.test_gang import assert_same, ranks_of, stage, wait_for  # noqa: E402
from train.job import Job  # noqa: E402
from train.loop import checkpoints  # noqa: E402
from train.loop.logs import FILE, read_lines  # noqa: E402

pytestmark = pytest.mark.slow
PLAIN: dict[str, Any] = {"guard": {"spike": 50.0}, "run": {"micro_batch": 4, "save_every": 1.0}}
AVERAGED = {**PLAIN, "average": {"kind": "uniform", "last": 4, "every": 0.15}}

WIDE = {**LLAMA, "hidden_size": 192, "intermediate_size": 384, "num_hidden_layers": 4}
SLOW = {**PLAIN, "init": {"config": WIDE}, "run": {**PLAIN["run"], "micro_batch": 1}}
DRIVE = """
import pickle, sys
from pathlib import Path
from gristmill.stopping import Interrupted, stoppable
from tests.train.loop.test_gang import gang
try:
    with stoppable():
        gang(pickle.loads(Path(sys.argv[1]).read_bytes()))
except Interrupted:
    sys.exit(143)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_mixture(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def whole(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The stage to its end at once."""
    job = make_job(store, tmp_path_factory.mktemp("whole"), **AVERAGED)
    finish(job)
    return job


def numbers(lines: list[dict[str, Any]]) -> list[Any]:
    """Of a log, what no clock and no memory is in."""
    names = ("step", "tokens", "loss", "grad_norm", "lr", "loss/web", "loss/news")
    return [[line.get(name) for name in names] for line in lines]


def newest(work: Path) -> int:
    """The step of the newest whole checkpoint; 0 where there is none."""
    found = checkpoints.newest(work / "checkpoints")
    return checkpoints.step_of(found) if found else 0


def test_a_stage_stops_after_the_step_under_way(store: Store, whole: Job, tmp_path: Path) -> None:
    job = make_job(store, tmp_path, **AVERAGED)
    for steps, number, stopped in ((5, signal.SIGINT, 6), (8, signal.SIGTERM, 15)):
        assert finish_apart(job, "asked", steps, int(number)) == 128 + number
        assert newest(tmp_path) == stopped == len(read_lines(tmp_path / FILE))
    assert finish_apart(job) == 0
    assert numbers(read_lines(tmp_path / FILE)) == numbers(read_lines(Path(whole.work) / FILE))
    assert weights(job) == weights(whole)


def test_in_its_last_step_it_ends(store: Store, whole: Job, tmp_path: Path) -> None:
    job = make_job(store, tmp_path, **AVERAGED)
    assert finish_apart(job, "asked", 23, int(signal.SIGTERM)) == 0
    assert weights(job) == weights(whole)


def test_the_command_line_says_where_and_goes_on(store: Store, tmp_path: Path) -> None:
    """Ctrl-C, which reaches all processes; SIGTERM to the command alone; then to the end."""
    job = make_job(store, tmp_path / "whole", **SLOW)
    finish(job)
    step = job.step.model_dump(mode="json", by_alias=True, exclude_unset=True)
    (tmp_path / "recipe.yaml").write_text(json.dumps({"steps": [step]}))
    for number, kill in ((signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill)):
        before = steps_done(store)
        process = start(tmp_path / "recipe.yaml", store)
        wait_for(lambda before=before: steps_done(store) > before)
        kill(process.pid, number)
        _, said = process.communicate()
        done = steps_done(store)
        (work,) = store.staging.glob("*/work")
        assert newest(work) == done
        assert said.splitlines()[-1] == (
            f"stopped: models/tiny after {done} of 24 steps, with a checkpoint; the same command "
            "goes on from there"
        )
        assert process.returncode == 128 + number
    _, said = (process := start(tmp_path / "recipe.yaml", store)).communicate()
    assert process.returncode == 0, said
    made = store["models/tiny"]
    assert (made.path / "model.safetensors").read_bytes() == weights(job)
    lines = numbers(store["models/tiny.log"].to_table().to_pylist())
    assert lines == numbers(read_lines(tmp_path / "whole" / FILE))


def start(recipe: Path, store: Store) -> subprocess.Popen[str]:
    """The command line, as a terminal starts it."""
    command = [sys.executable, "-m", "gristmill", "run", str(recipe), "--store", str(store.path)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def steps_done(store: Store) -> int:
    """Lines of the log of the stage under way."""
    return sum(len(read_lines(file)) for file in store.staging.glob(f"*/work/{FILE}"))


def test_ranks_stop_at_one_step(store: Store, tmp_path: Path) -> None:
    """Whoever is asked: a rank that is not the first, the process that started them."""
    slow = {"init": {"config": {**WIDE, "attention_dropout": 0.0}}, "run": SLOW["run"]}
    alone = stage(store, tmp_path / "alone", **slow)
    finish(alone)
    job = stage(store, tmp_path / "gang", 2, **slow)
    work = Path(job.work)
    for who in ("rank", "driver"):
        before = len(read_lines(work / FILE))
        driver = drive(job)
        wait_for(lambda before=before: len(read_lines(work / FILE)) > before)
        asked = max(map(int, ranks_of(work))) if who == "rank" else driver.pid
        os.kill(asked, signal.SIGTERM)
        assert driver.wait() == 128 + signal.SIGTERM
        assert newest(work) == len(read_lines(work / FILE)) > before
        assert not ranks_of(work)
    rest = stage(store, work, **slow)
    finish(rest)
    assert_same(alone, rest)


def drive(job: Job) -> subprocess.Popen[bytes]:
    """A process that drives a gang, and can be asked to stop."""
    file = Path(job.work) / "drive.pickle"
    file.write_bytes(pickle.dumps(job))
    return subprocess.Popen([sys.executable, "-c", DRIVE, str(file)], cwd=ROOT)
