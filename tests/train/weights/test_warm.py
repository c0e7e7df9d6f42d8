"""Reward models of real stages become one (WARM), which judges for rl and for evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gristmill.store import Store
from tests.extras import needs

needs("torch", "transformers")

from safetensors.torch import load_file  # noqa: E402

from tests.make_store import put  # noqa: E402
from tests.run_step import InProcess, run_step  # noqa: E402
from tests.train.data.make_rows import (  # noqa: E402
    put_chats,
    put_pairs,
    put_tokenizer,
    some_pairs,
    stage,
    turns,
)
from train.evaluate.step import Evaluate  # noqa: E402
from train.step import Train  # noqa: E402
from train.weights.step import Checkpoint  # noqa: E402

PAIRS = some_pairs(56)
FAST = {"optim": {"lr": 3e-3}, "run": {"threads": 1}}


def build(store: Store, step: Any) -> dict[str, Any]:
    """The facts and notes of its build record."""
    run_step(step, store, executor=InProcess())
    record = store[step.name].build()
    return {**record["facts"], "notes": record["notes"]}


def trained(store: Store, kind: str, name: str, rows: str, **fields: Any) -> dict[str, Any]:
    step = stage(kind, rows, batch=8, epochs=fields.pop("epochs", 2))
    given = step.model_dump(by_alias=True, exclude={"loss"}) | FAST | {"name": name} | fields
    return build(store, Train.model_validate(given))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two policies that answer well and badly, and reward models that share the start of a head."""
    found = Store(tmp_path_factory.mktemp("warm") / "store")
    put_tokenizer(found)
    put_pairs(found, PAIRS)
    for side in ("chosen", "rejected"):
        put_chats(found, [turns(p["prompt"], p[side]) for p in PAIRS], f"rows/{side}")
        trained(found, "sft", f"models/{side}", f"rows/{side}", epochs=6)
    none = {"answer": "", "verifier": ""}
    rows = [{"id": f"q{n}", "prompt": p["prompt"], **none} for n, p in enumerate(PAIRS[:12])]
    put(found, "prompts/few", {"": ("prompt", [pa.Table.from_pylist(rows)])})
    trained(found, "reward", "rm/start", "rows/pairs", init="models/chosen", epochs=1)
    for seed, name in ((1, "rm/a"), (2, "rm/b")):
        trained(found, "reward", name, "rows/pairs", init="rm/start", seed=seed)
    return found


def warm(store: Store, name: str, *of: str) -> dict[str, Any]:
    entry = {"name": name, "use": "checkpoint", "warm": {"of": list(of)}}
    return build(store, Checkpoint.model_validate(entry))


def win_rate(store: Store, name: str, judge: str) -> dict[str, float]:
    task = {"data": "prompts/few", "against": "models/rejected", "reward": judge, "max_tokens": 24}
    entry = {
        "name": name, "use": "evaluate", "model": "models/chosen", "threads": 1,
        "tasks": [{"win_rate": task}],
    }  # fmt: skip
    build(store, Evaluate.model_validate(entry))
    return {row["metric"]: row["value"] for row in store[name].to_table().to_pylist()}


@pytest.mark.slow
def test_the_mean_of_reward_models_judges(store: Store) -> None:
    facts = warm(store, "rm/mean", "rm/a", "rm/b")
    (angle,) = facts["degrees between heads"]
    assert 0 < angle < 30 and not facts["notes"]
    one, two, mean = (
        load_file(store[name].path / "model.safetensors") for name in ("rm/a", "rm/b", "rm/mean")
    )
    for name, tensor in mean.items():
        assert (tensor - (one[name] + two[name]) / 2).abs().max() < 1e-6
    assert any((one[name] != two[name]).any() for name in one)
    for judge in ("rm/mean", "rm/a"):
        found = win_rate(store, f"eval/{Path(judge).name}", judge)
        assert found["win_rate"] > 0.8


@pytest.mark.slow
def test_their_mean_rewards_policies(store: Store) -> None:
    warm(store, "rm/mean", "rm/a", "rm/b")
    rewards = {}
    for side in ("chosen", "rejected"):
        name = f"models/rl-{side}"
        facts = trained(
            store, "rl", name, "prompts/few", init=f"models/{side}",
            loss="rloo", data={"rows": "prompts/few", "batch": 12},
            rollout={"samples": 2, "max_tokens": 24, "rewards": [{"model": "rm/mean"}]},
        )  # fmt: skip
        assert facts["steps"] == 1
        rewards[side] = store[f"{name}.log"].to_table()["reward"][0].as_py()
    assert rewards["chosen"] > rewards["rejected"] + 1


@pytest.mark.slow
def test_heads_that_began_apart_are_told(store: Store) -> None:
    """Two heads drawn anew: their mean is hardly a reward model."""
    trained(store, "reward", "rm/c", "rows/pairs", init="models/chosen", seed=3)
    facts = warm(store, "rm/apart", "rm/c", "rm/a")
    assert facts["degrees between heads"][0] > 45
    assert any("share the start of their head" in note for note in facts["notes"])
