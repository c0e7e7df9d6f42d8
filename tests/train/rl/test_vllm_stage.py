"""Stages whose samples vLLM writes: they go on bitwise, and leave no engine behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "accelerate", "vllm")

import torch  # noqa: E402
from transformers import MixtralConfig, MixtralForCausalLM  # noqa: E402

from gristmill.errors import GristmillError  # noqa: E402
from synth.engines import vllm_core  # noqa: E402
from synth.verify import VERIFIERS  # noqa: E402
from tests.train.rl.stages import (  # noqa: E402
    a_stage,
    a_store,
    apart,
    killed_after,
    put_model,
    trained,
)
from tests.train.rl.tiny_policy import FEW_HEADS, new_model, save  # noqa: E402
from train.step import Train  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reward that random weights can earn: how many characters are digits."""
    monkeypatch.setitem(VERIFIERS, "digits", lambda text, *_: sum(c.isdigit() for c in text) / 4)


def stage(home: Path, loss: Any = "grpo", **changes: Any) -> Train:
    rollout = {"engine": "vllm", "rewards": [{"verifier": "digits"}], **changes.pop("rollout", {})}
    data = {"epochs": 0.25, **changes.pop("data", {})}
    found = a_stage(home, loss=loss, rollout=rollout, data=data, **changes)
    found.check()
    return found


def test_a_killed_stage_goes_on_bitwise(tmp_path: Path) -> None:
    """Between two updates on the same samples; dropout draws from what vLLM must not touch."""
    store = a_store(tmp_path, **FEW_HEADS)
    step = stage(
        tmp_path, rollout={"updates": 2}, run={"save_every": 0.125},
        model={"patch": {"attention_dropout": 0.1}},
    )  # fmt: skip
    whole = trained(tmp_path, store, step, "whole")
    went_on = killed_after(tmp_path, store, step, 5)
    assert apart(whole, went_on) == 0.0
    names = ["step", "loss", "reward", "length", "entropy", "engine_gap", "capped"]
    assert went_on.log.select(names).equals(whole.log.select(names))
    assert max(line["engine_gap"] for line in whole.log.to_pylist()[::2]) < 1e-3
    assert not vllm_core._HERE and not torch.distributed.is_initialized()


def test_a_critic_and_a_temperature_are_no_matter(tmp_path: Path) -> None:
    step = stage(tmp_path, "ppo", rollout={"temperature": 0.7, "rows": 5})
    made = trained(tmp_path, a_store(tmp_path, **FEW_HEADS), step)
    lines = made.log.to_pylist()
    assert len(lines) == 4
    assert all(line["engine_gap"] < 1e-5 and line["capped"] == 0 for line in lines)
    assert torch.get_num_threads() == 1


def test_an_engine_that_keeps_old_weights_is_found_out(tmp_path: Path) -> None:
    """vLLM 0.32 does so with experts on a CPU."""
    config = MixtralConfig(
        vocab_size=16, hidden_size=64, intermediate_size=64, num_hidden_layers=1,
        num_local_experts=2, eos_token_id=0, bos_token_id=None, **FEW_HEADS,
    )  # fmt: skip
    torch.manual_seed(0)
    policy = MixtralForCausalLM(config)
    with torch.no_grad():
        for weight in policy.parameters():
            weight.mul_(4)
    store = a_store(tmp_path)
    save(policy, tmp_path / "policy")
    with pytest.raises(GristmillError, match="does not take new weights of such a model"):
        trained(tmp_path, store, stage(tmp_path))
    assert not vllm_core._HERE


def test_a_student_s_text_may_be_vllm_s(tmp_path: Path) -> None:
    store = a_store(tmp_path, **FEW_HEADS)
    put_model(store, "models/teacher", save(new_model(5), tmp_path / "teacher"))
    step = stage(
        tmp_path, "kd_on_policy", kind="distill", teacher="models/teacher", rollout={"samples": 1}
    )
    lines = trained(tmp_path, store, step).log.to_pylist()
    assert all(line["engine_gap"] < 1e-5 and line["divergence"] > 0 for line in lines)
    assert "capped" not in lines[0]
