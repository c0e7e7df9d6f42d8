"""Rewards: the row's verifier, one for all, code, models; what fails names its row."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.extras import needs

needs("torch", "transformers")

import torch  # noqa: E402
from transformers import LlamaConfig, LlamaForSequenceClassification  # noqa: E402

from gristmill.errors import GristmillError, RecipeError  # noqa: E402
from synth.sandbox.available import available  # noqa: E402
from synth.verify import VERIFIERS  # noqa: E402
from tests.train.rl.tiny_policy import LETTERS, SIZES, tokenizer, tokenizer_files  # noqa: E402
from train.rl.prompts import Prompt  # noqa: E402
from train.rl.reward_model import RewardModel  # noqa: E402
from train.rl.rewards import Rewards, Verifiers  # noqa: E402
from train.spec.rollout import Reward  # noqa: E402


def a_prompt(answer: str = "7", verifier: str = "number", name: str = "rows/1") -> Prompt:
    return Prompt([2, 3], "3 + 4 = ?", answer, verifier, name)


def test_each_row_has_its_own_verifier() -> None:
    given = [a_prompt("7"), a_prompt("blue", "exact"), a_prompt("7")]
    found = Verifiers(None, given)(given, ["it is 7", "blue", "8"])
    assert found == [1.0, 1.0, 0.0]


def test_one_verifier_for_all_passes_over_the_rows_own() -> None:
    given = [a_prompt("7", "nothing of the kind")]
    assert Verifiers("exact", given)(given, ["7"]) == [1.0]


@pytest.mark.parametrize(
    "prompt, said",
    [
        (a_prompt(verifier="numbr"), "rows/1.*did you mean 'number'"),
        (a_prompt(verifier=""), "rows/1 names no verifier"),
        (a_prompt("{", "json_schema"), "rows/1.*schema"),
    ],
)
def test_a_row_that_cannot_be_judged_is_named_before_the_first_step(
    prompt: Prompt, said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        Verifiers(None, [prompt])


def test_a_verifier_that_fails_names_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(completion: str, answer: str, prompt: str = "") -> float:
        raise KeyError("a table")

    monkeypatch.setitem(VERIFIERS, "of_others", fails)
    given = [a_prompt(verifier="of_others", name="rows/9")]
    with pytest.raises(GristmillError, match=r"'of_others' failed on rows/9: KeyError.*'text'"):
        Verifiers(None, given)(given, ["text"])


def test_a_reward_that_is_no_number_names_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERIFIERS, "of_others", lambda *_: math.nan)
    given = [a_prompt(name="rows/1"), a_prompt(verifier="of_others", name="rows/2")]
    rewards = Rewards([Reward(verifier="row")], [Verifiers(None, given)])
    with pytest.raises(GristmillError, match="of rows/2 is nan"):
        rewards(given, ["7", "7"])


def test_rewards_are_summed_by_weight() -> None:
    given = [a_prompt("7")]
    spec = [Reward(verifier="row"), Reward(verifier="exact", weight=-0.5)]
    rewards = Rewards(spec, [Verifiers(None, given), Verifiers("exact", given)])
    found = rewards(given, ["7"])
    assert found.tolist() == [[1.0, 1.0]] and rewards.total(found).tolist() == [0.5]


@pytest.mark.skipif(bool(available()), reason=available() or "-")
def test_code_runs_in_the_sandbox() -> None:
    tests = "assert twice(2) == 4\nassert twice(0) == 0"
    given = [a_prompt(tests, "code"), a_prompt("7"), a_prompt(tests, "code")]
    texts = [
        "```python\ndef twice(x):\n    return 2 * x\n```",
        "7",
        "def twice(x):\n    return x * x + x",
    ]
    assert Verifiers(None, given)(given, texts) == [1.0, 1.0, 0.0]


def test_a_reward_model_reads_the_whole_conversation(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=2 + len(LETTERS), num_labels=1, **SIZES)
    model = LlamaForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path)
    for name, content in tokenizer_files().items():
        (tmp_path / name).write_bytes(content)
    before = ({"role": "system", "content": "1 2"}, {"role": "user", "content": "3 + 4 = ?"})
    given = [a_prompt(), a_prompt(), replace(a_prompt(), turns=before)]
    texts = ["7", "1 + 2 + 3", "7"]
    found = RewardModel(tmp_path, "models/rm")(given, texts)
    for text, value, start in zip(texts, found, ("", "", "1 2 "), strict=True):
        ids = tokenizer().encode(f"{start}3 + 4 = ? {text}<|end|>").ids
        with torch.no_grad():
            state = model.model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
            wanted = float(model.score(state))
        assert value == pytest.approx(wanted, abs=1e-6)


def test_a_model_of_several_labels_is_refused(tmp_path: Path) -> None:
    config = LlamaConfig(vocab_size=2 + len(LETTERS), num_labels=3, **SIZES)
    LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    for name, content in tokenizer_files().items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RecipeError, match="'models/rm' has 3 labels"):
        RewardModel(tmp_path, "models/rm")
