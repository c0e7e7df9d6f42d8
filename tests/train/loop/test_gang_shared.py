"""Ranks that share the weights (FSDP2, over gloo): what one process makes, killed or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "accelerate", "peft")

import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from gristmill.errors import RecipeError  # noqa: E402
from gristmill.store import Store  # noqa: E402
from tests.train.loop.make_stage import finish, make_job, make_mixture  # noqa: E402
from tests.train.loop.test_gang import (  # noqa: E402
    PLAIN,
    assert_same,
    gang,
    ranks_of,
    stage,
    start,
    wait_for,
)
from train.job import Job  # noqa: E402
from train.loop.logs import FILE, read_lines  # noqa: E402
from train.loop.optim_state import FILE as STATE  # noqa: E402
from train.run import OUT  # noqa: E402
from train.step import Train  # noqa: E402

DENSE: dict[str, Any] = {
    "average": {"kind": "uniform", "last": 3, "every": 0.2},
    "run": {"keep_optimizer": True},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_mixture(tmp_path_factory.mktemp("store"))


def shared(store: Store, work: Path, changes: dict[str, Any]) -> Job:
    """Two ranks, each with a part of the weights."""
    run = {"ranks": 2, "shard": True, "checkpointing": True, **changes.get("run", {})}
    return stage(store, work, **{**changes, "run": run})


@pytest.mark.slow
def test_shared_weights_and_a_kill_change_nothing(store: Store, tmp_path: Path) -> None:
    alone = stage(store, tmp_path / "alone", **DENSE)
    finish(alone)
    job = shared(store, tmp_path / "shared", DENSE)
    driver = start(job)
    log = Path(job.work) / FILE
    wait_for(lambda: len(read_lines(log)) >= 9)
    driver.kill()
    driver.wait()
    wait_for(lambda: not ranks_of(Path(job.work)))
    gang(job)
    assert_same(alone, job)
    states = [load_file(Path(one.work) / OUT / STATE) for one in (alone, job)]
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name], atol=1e-6, rtol=0)
    with pytest.raises(RecipeError, match=r"ranks that shared the weights.*`run: \{shard: true\}`"):
        finish(stage(store, tmp_path / "shared", **DENSE))


@pytest.mark.slow
def test_an_adapter_over_shared_weights_is_asked_what_it_can_do(
    store: Store, tmp_path: Path
) -> None:
    copy = {"task": {"copy": {"lengths": [40], "span": 8, "samples": 2}}, "metric": "whole"}
    loss = {"task": {"loss": "mix/held"}, "metric": "loss", "reaches": 6.9}
    advance = {"when": [loss, {**copy, "reaches": 0}], "every": 0.2, "otherwise": "stop"}
    lora = {"model": {"lora": {"r": 4}}, "advance": advance}
    alone = stage(store, tmp_path / "alone", **lora)
    finish(alone)
    job = shared(store, tmp_path / "shared", lora)
    gang(job)
    assert_same(alone, job)
    lines = read_lines(Path(job.work) / FILE)
    assert lines[-1]["loss"] < lines[0]["loss"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"optim": {"name": "muon"}}, "optim.name muon needs the whole weights on each rank"),
        ({"average": {"kind": "ema"}}, "average.kind ema needs"),
        ({"model": {"sparse": 0.5}}, "model.sparse needs"),
        ({"model": {"lora": {}, "quantize": "nf4"}, "init": "./base"}, "model.quantize needs"),
    ],
)
def test_what_needs_whole_weights_is_refused(changes: dict[str, Any], message: str) -> None:
    given = {"name": "models/a", "use": "train", "kind": "pretrain", "data": "mix", **PLAIN}
    for run in ({"shard": True}, {"device": "cuda"}):
        step = Train.model_validate({**given, **changes, "run": {"ranks": 2, **run}})
        with pytest.raises(RecipeError, match=message):
            step.check()
    Train.model_validate({**given, **changes, "run": {"ranks": 2, "shard": False}}).check()


def test_one_rank_shares_with_nobody(store: Store, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"run.shard is true, and one rank has nobody"):
        make_job(store, tmp_path, run={"shard": True})
