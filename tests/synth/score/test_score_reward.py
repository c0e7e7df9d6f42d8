"""Rewards: what is asked, what is subtracted; and a real reward model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gristmill.errors import RecipeError
from synth.calls import Answer, Call, Failure, Reward
from synth.ops import parse_op
from tests.extras import needs
from tests.synth.by_hand import Answers, answers_of, drive, lost, row, samples
from tests.synth.by_hand import score as select

TURNS = ({"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."})


def reward(**options: Any) -> Any:
    return parse_op({"score": {"reward": options}})


def by_length(calls: list[Call]) -> Answers:
    found: Answers = []
    for call in calls:
        assert isinstance(call, Reward)
        text = call.text if call.messages is None else call.messages[-1]["content"]
        found.append(Failure("too_long") if text == "long" else Answer(value=len(text or "")))
    return found


def test_the_items_conversation_fields_or_a_text() -> None:
    (item,) = samples({"response": "abc", "q": "What?", "n": 1.5})
    item.messages = TURNS
    seen: list[Call] = []

    def see(calls: list[Call]) -> Answers:
        seen.extend(calls)
        return by_length(calls)

    for options, value in [
        ({}, 6),
        ({"user": "q"}, 3),
        ({"of": "response", "engine": "rm"}, 3),
        ({"user": "q", "assistant": "q", "minus": "n", "into": "gap"}, 3.5),
    ]:
        op = reward(**options)
        (found,) = drive(op, [item], row(), see)
        assert found.fields[op.into] == value and op.engines() == [seen[-1].engine]  # type: ignore[union-attr]
    asked = ({"role": "user", "content": "What?"}, {"role": "assistant", "content": "abc"})
    assert seen[:2] == [Reward("reward", messages=turns) for turns in (TURNS, asked)]
    assert seen[2] == Reward("rm", text="abc")


def test_failures_are_typed() -> None:
    of = row()
    items = samples({"response": "long"}, {"response": "ok"}, {})
    (found,) = drive(reward(of="response"), items, of, by_length)
    assert found.path == (1,)
    assert lost(of) == [("score.reward", "missing"), ("score.reward", "too_long")]
    of = row()
    items = samples({"response": "ok", "base": None}, {"response": "ok"})
    assert drive(reward(of="response", minus="base"), items[:1], of, by_length) == []
    assert drive(reward(), items[1:], of, by_length) == []
    assert drive(reward(user="q"), items[1:], of, by_length) == []
    assert lost(of) == [("score.reward", "missing")] * 3


def test_errors_name_the_fix() -> None:
    with pytest.raises(RecipeError, match="not both"):
        reward(of="a", user="b")


@pytest.mark.slow
def test_a_real_reward_model(tmp_path: Path) -> None:
    needs("torch", "transformers")
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from synth.engines.spec import parse_spec
    from tests.synth.engines.tiny import build_llama

    folder = build_llama(tmp_path / "rm", seed=3, reward=True)
    spec = {"transformers": {"model": str(folder), "pooling": True, "device": "cpu"}}
    engine = parse_spec("reward", spec).open()
    engine.start()
    fields = [{"q": "What turns?", "response": text} for text in ("The wheel.", "No.", "Mill")]
    found = drive(reward(user="q"), samples(*fields), row(), answers_of(engine))
    engine.close()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    for item in found:
        turns = [
            {"role": "user", "content": "What turns?"},
            {"role": "assistant", "content": item.fields["response"]},
        ]
        text = tokenizer.apply_chat_template(turns, tokenize=False)
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            expected = model(ids).logits[0, 0].item()
        assert item.fields["reward"] == pytest.approx(expected, abs=1e-4)
    (best,) = select({"select": {"best": "reward"}}, found)
    (pair,) = select({"select": {"pair": {"by": "reward"}}}, found)
    assert pair.fields["chosen"] == best.fields["response"]
    assert len({item.fields["reward"] for item in found}) == 3
