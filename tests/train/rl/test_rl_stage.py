"""Stages of kind rl: they go on bitwise, any micro-batches give the same, what is saved loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "accelerate")

import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from transformers import LlamaForCausalLM  # noqa: E402

from gristmill.errors import GristmillError, RecipeError  # noqa: E402
from synth.verify import VERIFIERS  # noqa: E402
from tests.train.rl.stages import (  # noqa: E402
    a_stage,
    a_store,
    apart,
    killed_after,
    put_model,
    trained,
    weights,
)
from tests.train.rl.tiny_policy import new_model, save  # noqa: E402
from train.step import Train  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
LOSSES: dict[str, Any] = {
    "grpo": {"grpo": {"beta": 0.1, "scale_rewards": "batch"}},
    "rloo": "rloo",
    "mdloo": "mdloo",
    "ppo head": "ppo",
    "ppo model": {"ppo": {"value": "model"}},
}


@pytest.fixture(autouse=True)
def digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reward that random weights can earn: how many characters are digits."""
    monkeypatch.setitem(VERIFIERS, "digits", lambda text, *_: sum(c.isdigit() for c in text) / 4)


def stage(home: Path, loss: Any = "grpo", **changes: Any) -> Train:
    rollout = {"rewards": [{"verifier": "digits"}], **changes.pop("rollout", {})}
    data = {"epochs": 0.25, **changes.pop("data", {})}
    return a_stage(home, loss=loss, rollout=rollout, data=data, **changes)


@pytest.mark.slow
@pytest.mark.parametrize("loss", list(LOSSES))
def test_a_killed_stage_goes_on_bitwise_between_two_updates(loss: str, tmp_path: Path) -> None:
    store = a_store(tmp_path)
    # 4 batches of samples, two steps each; checkpoints after each step
    changes = {"rollout": {"updates": 2}, "run": {"save_every": 0.125}, "data": {"batch": 4}}
    step = stage(tmp_path, LOSSES[loss], **changes)
    whole = trained(tmp_path, store, step, "whole")
    went_on = killed_after(tmp_path, store, step, 5)
    assert apart(whole, went_on) == 0.0
    assert apart(whole, trained(tmp_path, store, step, "again")) == 0.0
    names = ["step", "loss", "reward", "length", "entropy"]
    assert went_on.log.select(names).equals(whole.log.select(names))
    start = load_file(tmp_path / "policy" / "model.safetensors")
    assert any(bool((tensor != start[n]).any()) for n, tensor in weights(whole).items())


@pytest.mark.parametrize(
    "loss", ["grpo", *(pytest.param(n, marks=pytest.mark.slow) for n in LOSSES if n != "grpo")]
)
def test_any_micro_batches_give_the_same_step(loss: str, tmp_path: Path) -> None:
    store = a_store(tmp_path)
    found = []
    for size in (None, 2, 1):
        step = stage(
            tmp_path, LOSSES[loss], data={"batch": 4, "epochs": 4 / 64}, run={"micro_batch": size},
            optim={"name": "sgd", "lr": 0.5},
        )  # fmt: skip
        found.append(trained(tmp_path, store, step, f"of {size}"))
    lines = [made.log.to_pylist()[0] for made in found]
    for other, line in zip(found[1:], lines[1:], strict=True):
        assert apart(found[0], other) < 1e-6
        for name in ("loss", "reward", "reward_std", "no_signal", "length", "entropy"):
            assert line[name] == pytest.approx(lines[0][name], abs=1e-6)


def test_the_saved_policy_stops_where_it_learnt_to(tmp_path: Path) -> None:
    made = trained(tmp_path, a_store(tmp_path), stage(tmp_path, "ppo"))
    model = LlamaForCausalLM.from_pretrained(made.folder)
    assert model.generation_config.eos_token_id == [0]
    assert not [name for name in weights(made) if "critic" in name]
    assert (made.folder / "tokenizer.json").is_file()
    assert (made.folder / "chat_template.jinja").is_file()


def test_the_log_tells_each_reward_and_how_completions_ended(tmp_path: Path) -> None:
    rewards = [{"verifier": "row"}, {"verifier": "digits", "weight": 0.5}]
    step = stage(tmp_path, {"grpo": {"beta": 0.1}}, rollout={"rewards": rewards})
    line = trained(tmp_path, a_store(tmp_path), step).log.to_pylist()[-1]
    total = line["reward.row"] + 0.5 * line["reward.digits"]
    assert line["reward"] == pytest.approx(total, abs=1e-6)
    assert {"kl", "entropy", "clipped", "length", "truncated", "empty", "no_signal"} <= set(line)


def test_batches_without_a_signal_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERIFIERS, "flat", lambda *_: 0.5)
    step = stage(tmp_path, rollout={"rewards": [{"verifier": "flat"}]})
    made = trained(tmp_path, a_store(tmp_path), step)
    assert any("in 4 of 4 batches all samples" in note for note in made.notes)
    start = load_file(tmp_path / "policy" / "model.safetensors")
    assert all(torch.equal(tensor, start[name]) for name, tensor in weights(made).items())


def test_a_stage_that_begins_with_one_reward_alone_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of no gradient would follow; one sample with another reward, and it goes on."""
    asked: list[str] = []

    def never(text: str, *_: object) -> float:
        asked.append(text)
        return 0.0

    def once(text: str, *_: object) -> float:
        return float(never(text) or len(asked) == 9)

    monkeypatch.setitem(VERIFIERS, "never", never)
    monkeypatch.setitem(VERIFIERS, "once", once)
    small = {"data": {"batch": 2, "epochs": 1}, "run": {"save_every": 0.25}}
    rollout = {"samples": 2, "max_tokens": 1}
    step = stage(tmp_path, rollout={**rollout, "rewards": [{"verifier": "never"}]}, **small)
    store = a_store(tmp_path, 44)
    with pytest.raises(GristmillError, match="all samples of the first 20 batches"):
        trained(tmp_path, store, step)
    assert len(asked) == 20 * 4
    asked.clear()
    step = stage(tmp_path, rollout={**rollout, "rewards": [{"verifier": "once"}]}, **small)
    assert "in 21 of 22 batches" in trained(tmp_path, store, step, "once").notes[-1]


@pytest.mark.parametrize("how", ["zero", "mask"])
def test_cut_completions_earn_nothing_or_are_not_learnt_from(how: str, tmp_path: Path) -> None:
    """A random policy hardly ever ends in one token."""
    step = stage(tmp_path, rollout={"truncated": how, "max_tokens": 1, "samples": 8})
    log = trained(tmp_path, a_store(tmp_path), step).log.to_pylist()
    cut = [line for line in log if line["truncated"] == 1]
    assert cut
    for line in cut:
        assert line["loss"] == pytest.approx(0.0, abs=1e-7)
        assert line["reward"] == 0 or how == "mask"


def test_prompts_that_leave_no_room_are_counted(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    step = stage(tmp_path, data={"max_length": 14, "epochs": 1 / 8})
    with pytest.raises(RecipeError, match="none of 64 prompts has at most 9 tokens"):
        trained(tmp_path, store, stage(tmp_path, data={"max_length": 13}), "none")
    assert trained(tmp_path, store, step).facts["rows"] == 8


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_a_student_comes_nearer_to_its_teacher_on_what_it_writes(
    beta: float, tmp_path: Path
) -> None:
    store = a_store(tmp_path)
    teacher = new_model(seed=5)
    with torch.no_grad():  # a distribution that is far from flat
        teacher.model.embed_tokens.weight.mul_(8)
    put_model(store, "models/teacher", save(teacher, tmp_path / "teacher"))
    step = stage(
        tmp_path, {"kd_on_policy": {"beta": beta}}, kind="distill", teacher="models/teacher",
        data={"epochs": 1.0}, rollout={"samples": 1}, optim={"lr": 5e-3},
    )  # fmt: skip
    log = trained(tmp_path, store, step).log.to_pylist()
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]
    assert log[0]["divergence"] == pytest.approx(log[0]["loss"], abs=1e-6)
