"""Several ranks: the same rows as one and, to the order of sums, the same weights; their end."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "accelerate")

import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from gristmill.errors import GristmillError  # noqa: E402
from gristmill.store import Store  # noqa: E402
from gristmill.task import RunInfo, TaskContext  # noqa: E402
from tests.train.loop.make_stage import (  # noqa: E402
    LLAMA,
    ROOT,
    finish,
    finish_apart,
    make_job,
    make_mixture,
)
from train.gang import run_gang  # noqa: E402
from train.job import Job  # noqa: E402
from train.loop.logs import FILE, read_lines  # noqa: E402
from train.run import OUT, Made  # noqa: E402

pytestmark = pytest.mark.slow
# SGD: AdamW divides by a gradient's size, and so makes the last bit of a sum of small ones large.
PLAIN = {
    "init": {"config": {**LLAMA, "attention_dropout": 0.0}},
    "optim": {"name": "sgd", "lr": 0.1},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_mixture(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def alone(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The stage on one rank."""
    job = stage(store, tmp_path_factory.mktemp("alone"), 1)
    finish(job)
    return job


def stage(store: Store, work: Path, ranks: int = 1, **more: Any) -> Job:
    held = {"data": "mix/held", "every": 0.5}
    run = {"micro_batch": 2, "ranks": ranks, "save_every": 0.2, **more.pop("run", {})}
    return make_job(store, work, held_out=held, run=run, **{**PLAIN, **more})


def gang(job: Job, told: list[int] | None = None) -> Made:
    folder = Path(job.work) / "task"
    info = RunInfo(job.store, job.work, {})
    ctx = TaskContext(info, "train", "train", folder, report=(told or []).append)
    return run_gang(ctx, job)


def assert_same(first: Job, second: Job) -> None:
    """Rows of each step: their tokens, and their loss by source; weights to 1e-6."""
    pairs = zip(*(read_lines(Path(job.work) / FILE) for job in (first, second)), strict=True)
    for one, other in pairs:
        names = [n for n in one if n.startswith(("step", "tokens", "loss", "held", "grad", "lr"))]
        names = [n for n in names if n != "tokens_per_second"]
        assert [one[n] for n in names] == pytest.approx([other[n] for n in names], abs=2e-5)
    weights = [load_file(Path(job.work) / OUT / "model.safetensors") for job in (first, second)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], atol=1e-6, rtol=0)


def test_two_ranks_are_one(store: Store, alone: Job, tmp_path: Path) -> None:
    job, told = stage(store, tmp_path, 2), [0]
    made = gang(job, told)
    assert_same(alone, job)
    assert made.facts["steps"] == sum(told) == made.log.num_rows
    assert (made.folder / "training" / "curves.png").is_file()


def test_a_run_goes_on_with_other_ranks_and_back(store: Store, alone: Job, tmp_path: Path) -> None:
    job = stage(store, tmp_path, 1)
    assert finish_apart(job, "step", 9) == -9
    two = stage(store, tmp_path, 2)
    driver = start(two)
    wait_for(lambda: len(read_lines(tmp_path / FILE)) >= 16)
    driver.kill()
    driver.wait()
    wait_for(lambda: not ranks_of(tmp_path))
    finish(job)
    assert_same(alone, job)


def test_ranks_end_with_a_driver_that_is_killed(store: Store, tmp_path: Path) -> None:
    driver = start(stage(store, tmp_path, 2))
    wait_for(lambda: len(read_lines(tmp_path / FILE)) >= 2)
    assert len(ranks_of(tmp_path)) == 2
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    wait_for(lambda: not ranks_of(tmp_path))


def test_the_error_of_a_rank_is_the_users(store: Store, tmp_path: Path) -> None:
    job = stage(store, tmp_path, 2, guard={"norm": 1e-9, "patience": 1})
    with pytest.raises(GristmillError, match=r"step 1: gradient norm .*(\n.*)+row 0: "):
        gang(job)


def start(job: Job) -> subprocess.Popen[bytes]:
    """A process that drives a gang."""
    file = Path(job.work) / "gang.pickle"
    file.write_bytes(pickle.dumps(job))
    code = (
        "import pickle, sys; from pathlib import Path; from tests.train.loop.test_gang import gang;"
        "gang(pickle.loads(Path(sys.argv[1]).read_bytes()))"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(file)], cwd=ROOT)


def ranks_of(work: Path) -> list[str]:
    """Processes that run a rank of the job below `work`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode()
        except OSError:
            continue
        if "train.launch" in command and str(work) in command:
            found.append(folder.name)
    return found


def wait_for(what: Any, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
