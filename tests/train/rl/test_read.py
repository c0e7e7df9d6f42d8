"""Which prompts a step has; what is refused before anything is loaded."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "accelerate")

import pyarrow as pa  # noqa: E402

from gristmill.errors import RecipeError  # noqa: E402
from gristmill.store import Store  # noqa: E402
from tests.make_store import put  # noqa: E402
from tests.train.rl.stages import PROMPTS, a_job, a_stage  # noqa: E402
from tests.train.rl.tiny_policy import new_model, prompts, save, tokenizer  # noqa: E402
from train.data.prepared import open_prepared  # noqa: E402
from train.rl.prompts import PromptBatches  # noqa: E402
from train.rl.read import order, read_prompts  # noqa: E402
from train.spec import Rows  # noqa: E402

VLLM: dict[str, Any] = {"rollout": {"engine": "vllm"}}
DATA = Rows(rows=("rows/prompts",), batch=4, epochs=1.5)


def test_each_epoch_has_every_prompt_once_in_an_order_of_its_own() -> None:
    steps = order(DATA, 7, 10)
    assert [len(step) for step in steps] == [4, 4, 4, 3]
    numbers = [number for step in steps for number in step]
    assert sorted(numbers[:10]) == list(range(10)) and numbers[:10] != list(range(10))
    assert len(set(numbers[10:])) == 5
    assert order(DATA, 7, 10) == steps != order(DATA, 8, 10)
    given = order(DATA.model_copy(update={"order": "given"}), 7, 10)
    assert given[0] == [0, 1, 2, 3] and given[2] == [8, 9, 0, 1]


def test_what_stands_before_an_answer_is_kept_whole(tmp_path: Path) -> None:
    """A reward model reads the turns that the policy was prompted with, a system's too."""
    turns = [{"role": "system", "content": "7 8"}, {"role": "user", "content": "3 + 4 = ?"}]
    save(new_model(), tmp_path / "policy")
    store = Store(tmp_path / "store")
    told = {"id": "a", "messages": turns, "prompt": "3 + 4 = ?", "answer": "7", "verifier": "exact"}
    put(store, PROMPTS, {"": ("prompt", [pa.Table.from_pylist([told])])})
    job = a_job(tmp_path, store, a_stage(tmp_path))
    (found,), _ = read_prompts(open_prepared(str(job.rows)), 64)
    assert found.text == "3 + 4 = ?" and found.turns == turns
    assert found.ids == tokenizer().encode("7 8 3 + 4 = ? ").ids


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_step_has_the_same_prompts_in_any_parts(parts: int) -> None:
    rows = order(DATA, 7, 10)
    batches = PromptBatches(prompts(10, seed=1), rows, parts, updates=2)
    assert batches.steps == 8 and len(batches) == 8 * parts
    for step in range(batches.steps):
        items = [batches[step * parts + part] for part in range(parts)]
        taken = [int(n) for item in items for n in item["prompts"]]
        places = [int(n) for item in items for n in item["places"]]
        assert taken == rows[step // 2] and places == list(range(len(taken)))
        assert len(batches.named(step)) == len(taken)
    assert [batches.before(step) for step in range(9)] == [0, 2, 4, 6, 8, 10, 12, 13, 15]


def test_a_last_step_that_is_too_small_for_its_parts_is_refused() -> None:
    with pytest.raises(RecipeError, match="the last step has 3 prompts for 4 micro-batches"):
        PromptBatches(prompts(10, seed=1), order(DATA, 7, 10), 4, updates=1)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"rollout": {"samples": 1}}, "rollout.samples is 1; grpo compares"),
        ({"loss": "mdloo", "rollout": {"samples": 1}}, "mdloo compares"),
        ({"rollout": {"max_tokens": 64}}, "no prompt would fit"),
        ({"rollout": {"engine": "vllm"}, "run": {"ranks": 2}}, "train with one rank"),
        ({**VLLM, "model": {"lora": {}, "quantize": "nf4"}}, "model.quantize"),
        ({**VLLM, "model": {"soft_top_k": {"keep": 0.5}}}, "model.soft_top_k"),
        ({"rollout": {"engine": "vllm", "temperature": 0.001}}, "vLLM knows none below 0.01"),
        ({"rollout": {"cap": 3.0}}, "engine is 'transformers' and the loss grpo"),
        ({"reference": "models/sft"}, "grpo.beta is 0, so nothing asks it"),
        ({"loss": "ppo", "model": {"lora": {}}}, "leave `model.lora` out"),
        ({"loss": "kd_on_policy", "kind": "distill"}, "asks a teacher as it trains"),
        ({"data": "mix/x"}, "reads rows"),
        ({"rollout": None}, "`rollout` is for kind rl"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_at_once(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=said):
        a_stage(tmp_path, **changes).check()


def test_an_engine_that_is_not_there_is_told_when_planning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = a_stage(tmp_path, **VLLM)
    assert "vllm" in step.packages() and "vllm" not in a_stage(tmp_path).packages()
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(RecipeError, match="needs the package vllm"):
        step.check()


@pytest.mark.parametrize(
    "reward, said", [({"verifier": "numbr"}, "did you mean 'number'"), ({}, "a reward has one of")]
)
def test_a_reward_that_is_none_is_refused_at_once(
    reward: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=said):
        a_stage(tmp_path, rollout={"rewards": [reward]})
