"""What a recipe's data and models show to be wrong of a stage is told before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from gristmill.errors import RecipeError
from gristmill.store import Store
from pipelines.plan import plan_recipe
from tests.make_store import put
from tests.run_step import InProcess, run_step
from train.weights.step import Checkpoint

MESSAGES = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]
PAIR = {"id": "a", "prompt": "2 + 2?", "chosen": "4", "rejected": "5"}
ROWS: dict[str, list[dict[str, Any]]] = {
    "prompt": [{"id": "a", "prompt": "2 + 2?", "answer": "4", "verifier": "exact"}],
    "preference": [PAIR],
    "chat": [{"id": "a", "messages": MESSAGES}],
    "document": [{"id": "a", "text": "two and two", "url": "u", "date": "", "source": "s"}],
}
CONFIG = {"model_type": "llama", "vocab_size": 8, "hidden_size": 8, "intermediate_size": 8}
CONFIG |= {"num_hidden_layers": 1, "num_attention_heads": 1, "max_position_embeddings": 64}
POLICY = {"name": "m/rl", "use": "train", "kind": "rl", "init": "models/sft"}
POLICY |= {"data": {"rows": "rows/prompt"}, "rollout": {"max_tokens": 16}}
PAIRS = {"name": "m/dpo", "use": "train", "kind": "preference", "init": "models/sft"}
PAIRS |= {"data": {"rows": "rows/preference"}}
REWARD = {"name": "m/reward", "use": "train", "kind": "reward", "init": "models/sft"}
REWARD |= {"data": {"rows": "rows/preference"}}
ASK = {"name": "m/asked", "use": "synthesize", "from": "rows/prompt"}
ASK |= {"do": [{"set": {"q": "{{ prompt }}"}}, {"emit": {"kind": "document", "text": "{{ q }}"}}]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    home = tmp_path_factory.mktemp("ahead")
    found = Store(home / "store")
    for kind, rows in ROWS.items():
        put(found, f"rows/{kind}", {"": (kind, [pa.Table.from_pylist(rows)])})
    for name, ending in (("sft", "ForCausalLM"), ("reward", "ForSequenceClassification")):
        folder = home / name
        folder.mkdir()
        said = {**CONFIG, "architectures": [f"Llama{ending}"]}
        (folder / "config.json").write_text(json.dumps(said))
        _weights(folder / "model.safetensors")
        entry = {"name": f"models/{name}", "use": "checkpoint", "average": {"of": [str(folder)]}}
        run_step(Checkpoint.model_validate(entry), found, executor=InProcess())  # type: ignore[arg-type]
    return found


def _weights(file: Path) -> None:
    save = pytest.importorskip("safetensors.torch").save_file
    torch = pytest.importorskip("torch")
    save({"a.weight": torch.zeros(2, 2)}, file, metadata={"format": "pt"})


def planned(store: Store, *steps: dict[str, Any]) -> list[Any]:
    file = store.path.parent / "r.yaml"
    file.write_text(yaml.safe_dump({"steps": list(steps)}))
    return plan_recipe(file, store=store)


def judged(model: str) -> dict[str, Any]:
    return {**POLICY, "rollout": {"max_tokens": 16, "rewards": [{"model": model}]}}


def test_what_fits_is_planned(store: Store) -> None:
    planned(store, POLICY, PAIRS, REWARD, ASK, judged("models/reward") | {"name": "m/judged"})


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (POLICY | {"data": {"rows": "rows/chat"}}, "of kind chat; a stage of kind 'rl' learns"),
        (PAIRS | {"data": {"rows": "rows/document"}}, "of kind document"),
        (PAIRS | {"data": {"rows": "rows/chat"}}, "'dpo' compares answers"),
        (POLICY | {"init": "rows/chat"}, "init is 'rows/chat', rows of kind chat, not a model"),
        (PAIRS | {"reference": "rows/chat"}, "reference is 'rows/chat'"),
        (PAIRS | {"init": "models/reward"}, "it rates and does not write"),
        (judged("models/sft"), "writes and does not rate"),
        (judged("rows/chat"), "rollout.rewards is 'rows/chat', rows of kind chat"),
        (POLICY | {"rollout": {"max_tokens": 64}}, "the model knows 64 positions"),
        (ASK | {"from": "rows/document"}, "op 'set' reads field 'prompt'"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_what_does_not_fit_is_told(store: Store, step: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        planned(store, step)


def test_what_steps_will_make_is_known_before_they_do(store: Store) -> None:
    """Round one's models are averages of what is there, and their kinds those of their steps."""
    start = {"name": "m/0", "use": "checkpoint", "average": {"of": ["models/reward"]}}
    with pytest.raises(RecipeError, match="init is 'm/0', a reward model"):
        planned(store, start, PAIRS | {"init": "m/0"})
    with pytest.raises(RecipeError, match="'m/asked', of kind document"):
        planned(store, ASK, PAIRS | {"data": {"rows": "m/asked"}})
    with pytest.raises(RecipeError, match="'m/dpo', which writes and does not rate"):
        planned(store, PAIRS, judged("m/dpo"))
    planned(store, REWARD, judged("m/reward"))
