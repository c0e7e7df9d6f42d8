"""Stages that touch their weights: through the whole loop, killed and gone on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "accelerate")

import torch  # noqa: E402
from transformers import AutoModelForCausalLM, LlamaConfig  # noqa: E402

from gristmill.store import Store  # noqa: E402
from mixtures.tokens.tokenizers import tokenizer_files  # noqa: E402
from tests.run_step import InProcess, run_step  # noqa: E402
from tests.train.data.make_rows import (  # noqa: E402
    CONFIG,
    TOKENIZER,
    job,
    put_pairs,
    put_tokenizer,
    some_pairs,
    stage,
)
from tests.train.killed import killed_after  # noqa: E402
from tests.train.loop.make_stage import finish, make_job, make_mixture, weights  # noqa: E402
from tests.train.weights.tiny import load, logits, tensors  # noqa: E402
from train.job import Job  # noqa: E402
from train.run import OUT  # noqa: E402
from train.spec import Optim  # noqa: E402
from train.step import Train  # noqa: E402
from train.weights.step import Checkpoint  # noqa: E402

MODELS: dict[str, dict[str, Any]] = {
    "sparse": {"model": {"sparse": 0.6}, "optim": {"lr": 1e-2, "name": "muon"}},
    "soft_top_k": {"model": {"soft_top_k": {"keep": 12}}},
}


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_mixture(tmp_path_factory.mktemp("store"))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_stage_that_goes_on_ends_with_the_same_bytes(
    name: str, mixture: Store, tmp_path: Path
) -> None:
    changes = {**MODELS[name], "run": {"save_every": 0.2}}
    whole = make_job(mixture, tmp_path / "whole", **changes)
    finish(whole)
    torn = make_job(mixture, tmp_path / "torn", **changes)
    killed_after(torn, 13)
    finish(torn)
    assert weights(torn) == weights(whole)
    found = load(tmp_path / "whole" / OUT)  # no key too many, none missing
    matrix = tensors(tmp_path / "whole" / OUT)["model.layers.1.mlp.up_proj.weight"]
    zeros = float((matrix == 0).float().mean())
    assert zeros == pytest.approx(0.6 if name == "sparse" else 0.0, abs=1e-3)
    if name == "soft_top_k":
        saved = tmp_path / "whole" / OUT
        entry = {"of": str(saved), "keep": 12, "by": "mask"}
        step = Checkpoint.model_validate({"name": "m", "use": "checkpoint", "slice": entry})
        run_step(step, mixture, executor=InProcess())  # type: ignore[arg-type]
        sliced = load(mixture["m"].path)
        assert sliced.config.intermediate_size == 12
        torch.testing.assert_close(logits(sliced), logits(found), rtol=1e-6, atol=1e-6)


def preference(tmp_path: Path, density: float, share: float, seed: int) -> Job:
    """A DPO stage from m/sft, whose updates are merged with m/sft - m/base."""
    store = Store(tmp_path / "store")
    if "m/sft" not in store:
        put_tokenizer(store)
        put_pairs(store, some_pairs(32))
        for number, name in enumerate(("m/base", "m/sft")):
            put_model(store, name, number, tmp_path / f"{number}")
    step = stage("preference", "rows/pairs", init="m/sft", batch=8)
    merge = {"base": "m/base", "density": density, "weight": share}
    optim = Optim.model_validate({"lr": 1e-3, "merge": merge})
    run = step.run.model_copy(update={"device": "cpu", "threads": 1, "save_every": 0.25})
    step = Train.model_validate({**dict(step), "optim": optim, "run": run, "seed": seed})
    step.check()
    folder = tmp_path / f"{density}-{share}-{seed}-{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    return job(store, step, folder)


def put_model(store: Store, name: str, seed: int, folder: Path) -> None:
    files = tokenizer_files(store[TOKENIZER])
    torch.manual_seed(0)
    keys = {key: value for key, value in CONFIG.items() if key != "model_type"}
    model = AutoModelForCausalLM.from_config(LlamaConfig(vocab_size=300, **keys))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(seed * 0.01 * torch.randn_like(weight))
    model.save_pretrained(folder)
    for file, content in files.items():
        (folder / file).write_bytes(content)
    entry = {"name": name, "use": "checkpoint", "average": {"of": [str(folder)]}}
    run_step(Checkpoint.model_validate(entry), store, executor=InProcess())  # type: ignore[arg-type]


@pytest.mark.slow
def test_updates_are_merged_with_what_sft_changed(tmp_path: Path) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    sparse = preference(tmp_path, 0.02, 0.0, 1)
    finish(sparse)
    start = tensors(Store(tmp_path / "store")["m/sft"].path)[name]
    changed = tensors(Path(sparse.work) / OUT)[name] != start
    assert 0.05 < float(changed.float().mean()) < 0.11  # four steps of 0.02
    pulled = preference(tmp_path, 1.0, 0.01, 1)
    finish(pulled)
    plain = preference(tmp_path, 1.0, 0.0, 1)
    finish(plain)
    base = tensors(Store(tmp_path / "store")["m/base"].path)[name]
    difference = tensors(Path(pulled.work) / OUT)[name] - tensors(Path(plain.work) / OUT)[name]
    along = torch.cosine_similarity(difference.flatten(), (start - base).flatten(), dim=0)
    assert float(along) > 0.9  # further in the direction of SFT
    torn = preference(tmp_path, 0.02, 0.0, 1)
    killed_after(torn, 3)
    finish(torn)
    assert weights(torn) == weights(sparse)


def test_masks_and_adapters_exclude_each_other() -> None:
    with pytest.raises(Exception, match="leave one of them out"):
        stage("sft", "rows/chat").model_validate(
            {**dict(stage("sft", "rows/chat")), "model": {"lora": {}, "sparse": 0.5}}
        )
