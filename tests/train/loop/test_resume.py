"""A stage that is killed goes on, and ends as one that was not: the same bytes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "accelerate")

from gristmill.store import Store  # noqa: E402
from tests.train.loop.make_stage import (  # noqa: E402
    finish,
    finish_apart,
    make_job,
    make_mixture,
    weights,
)
from train.job import Job  # noqa: E402
from train.loop.checkpoints import MARKER  # noqa: E402
from train.loop.logs import FILE, read_lines  # noqa: E402

pytestmark = pytest.mark.slow

STAGES: dict[str, dict[str, Any]] = {
    "plain": {},
    "uniform": {"average": {"kind": "uniform", "last": 4, "every": 0.15}},
    "ema": {"average": {"kind": "ema", "decay": 0.8}, "optim": {"lr": 1e-2, "name": "muon"}},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_mixture(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def whole(store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[bytes, Any]]:
    """Each stage without a kill: its weights and its losses."""
    found = {}
    for name, changes in STAGES.items():
        job = stage(store, tmp_path_factory.mktemp(name), changes)
        finish(job)
        found[name] = weights(job), losses(job)
    return found


def stage(store: Store, work: Path, changes: dict[str, Any]) -> Job:
    run = {"micro_batch": 4, "save_every": 0.1}
    return make_job(store, work, guard={"spike": 50.0}, run=run, **changes)


def losses(job: Job) -> list[Any]:
    lines = read_lines(Path(job.work) / FILE)
    return [
        [line[name] for name in ("step", "tokens", "loss", "grad_norm", "lr")] for line in lines
    ]


def checkpoints(job: Job) -> list[bool]:
    """Whether each is whole."""
    folders = (Path(job.work) / "checkpoints").glob("checkpoint-*")
    return [(folder / MARKER).is_file() for folder in folders]


@pytest.mark.parametrize("name", STAGES)
def test_kills_at_random_steps_change_nothing(
    name: str, store: Store, whole: dict[str, tuple[bytes, Any]], tmp_path: Path
) -> None:
    job = stage(store, tmp_path, STAGES[name])
    draw = random.Random(name)
    for _ in range(2):
        assert finish_apart(job, "step", draw.randint(4, 9)) == -9
    assert checkpoints(job)
    assert finish_apart(job) == 0
    assert losses(job) == whole[name][1]
    assert weights(job) == whole[name][0]


@pytest.mark.parametrize("file, count", [("model.safetensors", 2), ("rng_state.pth", 2)])
def test_a_kill_while_a_checkpoint_is_written_changes_nothing(
    file: str, count: int, store: Store, whole: dict[str, tuple[bytes, Any]], tmp_path: Path
) -> None:
    job = stage(store, tmp_path, {})
    assert finish_apart(job, "file", file, count) == -9
    finish(job)
    assert losses(job) == whole["plain"][1]
    assert weights(job) == whole["plain"][0]


def test_a_damaged_checkpoint_is_left_out(
    store: Store, whole: dict[str, tuple[bytes, Any]], tmp_path: Path
) -> None:
    job = stage(store, tmp_path, {})
    assert finish_apart(job, "step", 12) == -9
    folders = sorted((tmp_path / "checkpoints").iterdir(), key=lambda f: int(f.name[11:]))
    (folders[-1] / "model.safetensors").write_bytes(b"damaged")
    made = finish(job)
    assert made.notes == [
        f"{folders[-1].name} was left out: model.safetensors does not match its digest"
    ]
    assert weights(job) == whole["plain"][0]


def test_micro_batches_change_only_the_order_of_sums(store: Store, tmp_path: Path) -> None:
    config = {"init": {"config": {**make_job(store, tmp_path).step.init.config}}}
    config["init"]["config"]["attention_dropout"] = 0.0
    found = []
    for size in (8, 2):
        job = make_job(store, tmp_path / str(size), run={"micro_batch": size}, **config)
        finish(job)
        found.append([line[2] for line in losses(job)])
    assert found[0] == pytest.approx(found[1], abs=1e-5)
