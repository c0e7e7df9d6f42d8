"""A stage from its job to its files: log, held-out loss, what stops it, what it leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "accelerate", "matplotlib")

import torch  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

from gristmill.errors import RecipeError  # noqa: E402
from gristmill.step import StepRun  # noqa: E402
from gristmill.store import Store  # noqa: E402
from mixtures.plan import open_plan  # noqa: E402
from mixtures.plan.adapters import collate  # noqa: E402
from tests.train.loop.make_stage import LLAMA, finish, make_job, make_mixture, weights  # noqa: E402
from train.checks import told  # noqa: E402
from train.data.plan import open_batches  # noqa: E402
from train.loop.guard import Stopped  # noqa: E402
from train.loop.items import Items  # noqa: E402
from train.loop.logs import FILE, read_lines  # noqa: E402
from train.losses.cross_entropy import IGNORED, token_nats  # noqa: E402
from train.run import OUT, run  # noqa: E402

SHORT: dict[str, Any] = {"init": {"config": {**LLAMA, "num_hidden_layers": 1}}}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_mixture(tmp_path_factory.mktemp("store"))


def test_what_a_stage_leaves(
    store: Store, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    held = {"data": "mix/held", "every": 0.5}
    more = {"keep_optimizer": True, "micro_batch": 4, "save_every": 0.4}
    job = make_job(store, tmp_path, **SHORT, held_out=held, run=more)
    done: list[int] = []
    said: list[str] = []
    made = run(job, done.append, said.append)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    batches = open_batches(job)
    lines = made.log.to_pylist()
    assert sum(done) == len(lines) == batches.steps
    assert [line["step"] for line in lines] == list(range(1, batches.steps + 1))
    assert [line["tokens"] for line in lines] == [batches.before(n) for n in range(batches.steps)]
    assert said and said[0].startswith("loss ") and said[0].endswith(" tokens/s")
    assert lines[-1]["loss"] < lines[0]["loss"]
    names = {"grad_norm", "lr", "seconds", "tokens_per_second", "memory", "loss/web", "loss/news"}
    assert names <= set(lines[0])
    held_lines = [line for line in lines if line["held_out"] is not None]
    assert len(held_lines) == 2 and held_lines[-1] is lines[-1]
    files = {p.relative_to(made.folder).as_posix() for p in made.folder.rglob("*") if p.is_file()}
    beside = {"curves.png", "log.jsonl", "optimizer.safetensors", "spec.json"}
    assert {f"training/{name}" for name in beside} <= files
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= files
    assert not any(file.endswith((".bin", ".pt", ".pth")) for file in files)
    assert json.loads((made.folder / "training/spec.json").read_text())["data"] == "mix"
    model = AutoModelForCausalLM.from_pretrained(made.folder)
    assert model.config.use_cache
    assert held_lines[-1]["held_out"] == pytest.approx(_held_out(store, model), abs=1e-5)
    carried = {**SHORT, "init": {"from": str(made.folder), "optimizer": "carry"}}
    again = finish(make_job(store, tmp_path / "again", **carried)).log.to_pylist()
    assert again[0]["loss"] < lines[0]["loss"]


def _held_out(store: Store, model: Any) -> float:
    plan = open_plan(store, "mix/held")
    nats = counts = 0.0
    for row in range(len(plan)):
        batch = collate([plan.rows([row])])
        given = {name: batch[name] for name in ("input_ids", "position_ids")}
        with torch.no_grad():
            nats += float(token_nats(model(**given).logits, batch["labels"]).sum())
        counts += float((batch["labels"][:, 1:] != IGNORED).sum())
    return nats / counts


@pytest.mark.parametrize(
    "changes",
    [
        {"run": {"fused_loss": True}},
        {"run": {"checkpointing": True}},
        {"model": {"z_loss": 1e-4}, "run": {"fused_loss": True}},
        {"model": {"dtype": "bfloat16"}},
        {"optim": {"name": "muon", "lr": 0.01}, "average": {"kind": "uniform", "last": 3}},
    ],
)
def test_settings_of_a_run(changes: dict[str, Any], store: Store, tmp_path: Path) -> None:
    """They learn; those that change no number change none, but for the order of sums."""
    plain = {"init": {"config": {**SHORT["init"]["config"], "attention_dropout": 0.0}}}
    lines = finish(make_job(store, tmp_path, **plain, **changes)).log.to_pylist()
    assert lines[-1]["loss"] < lines[0]["loss"]
    if "model" not in changes and "optim" not in changes:
        other = finish(make_job(store, tmp_path / "plain", **plain)).log.to_pylist()
        found = [line["loss"] for line in lines]
        assert found == pytest.approx([line["loss"] for line in other], abs=1e-4)


def test_a_loss_that_is_no_number_stops_with_its_rows(store: Store, tmp_path: Path) -> None:
    bad = {**SHORT, "optim": {"lr": 1e30, "clip": 0}, "schedule": {"shape": "constant"}}
    job = make_job(store, tmp_path, **bad)
    with pytest.raises(Stopped, match=r"step \d+: its (loss|gradient norm) is (nan|inf)") as caught:
        finish(job)
    step = int(str(caught.value).split(":")[0].split()[1])
    assert open_batches(job).named(step - 1)[0] in str(caught.value)
    assert len(read_lines(tmp_path / FILE)) == step - 1


def test_the_same_recipe_gives_the_same_bytes(store: Store, tmp_path: Path) -> None:
    jobs = [make_job(store, tmp_path / str(n), **SHORT) for n in range(2)]
    for job in jobs:
        finish(job)
    assert weights(jobs[0]) == weights(jobs[1])


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"run": {"ranks": 3}}, r"run.ranks is 3: the mixture's steps have \[8\] rows"),
        ({"run": {"log_to": ["trackio"]}}, r"run.log_to has 'trackio', which is not installed"),
        ({"schedule": {"warmup": "1M"}}, r"schedule.warmup is '1M', which is token 1,000,000"),
    ],
)
def test_what_cannot_be_is_an_error(
    changes: dict[str, Any], message: str, store: Store, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=message):
        finish(make_job(store, tmp_path, **SHORT, **changes))


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_ranks_share_out_the_items(
    world: int, ahead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Items, "_pinned", lambda self, number: self.dataset[number])
    items = [Items(range(24), lambda: 6, rank, world, ahead) for rank in range(world)]
    assert all(len(one) == 24 // world for one in items)
    assert sorted(n for one in items for n in one) == list(range(6, 24))


def test_the_models_folder_is_below_the_work_folder(store: Store, tmp_path: Path) -> None:
    assert finish(make_job(store, tmp_path, **SHORT)).folder == tmp_path / OUT


def test_a_fine_tune_on_plain_tokens_is_told(store: Store, tmp_path: Path) -> None:
    notes = {}
    for kind in ("sft", "pretrain"):
        step = make_job(store, tmp_path, kind=kind).step
        inputs = {ref: store[ref] for ref in step.inputs()}
        notes[kind] = told(step, StepRun(store, step.name, "0" * 64, tmp_path, inputs, {}))
    assert notes["pretrain"] == []
    assert notes["sft"][0].startswith("no source of mix says which tokens are an answer's")
