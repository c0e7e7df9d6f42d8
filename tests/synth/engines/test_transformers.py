"""The embedded engine against transformers itself: texts, log-probabilities, seeds, structure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gristmill.errors import RecipeError
from synth.calls import (
    Answer,
    EngineDied,
    Failure,
    Generate,
    Reward,
    Sampling,
    ScoreTokens,
    Structure,
)
from synth.engines import transformers_grammar
from synth.engines.spec import parse_spec
from synth.engines.transformers_sampling import choose
from tests.extras import needs
from tests.synth.engines.tiny import build_llama, build_tokenizer, one_thread, run

needs("torch", "transformers")

GREEDY = Sampling(max_tokens=12, temperature=0)
WARM = Sampling(max_tokens=12, temperature=1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_llama(tmp_path_factory.mktemp("llama"))


def engine_of(folder: Path, **options: Any) -> Any:
    engine = parse_spec("main", {"transformers": {"model": str(folder), **options}}).open()
    engine.start()
    one_thread()
    return engine


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Any]:
    made = engine_of(folder, batch_size=4)
    yield made
    made.close()


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder).eval()


def asks(sampling: Sampling, count: int = 9) -> list[Generate]:
    return [Generate("main", sampling, 100 + n, text="count" * n + str(n)) for n in range(count)]


def written(model: Any, tokens: list[int], count: int, ends: tuple[int, ...] = (5, 6)) -> list[int]:
    """Greedy decoding without a cache or a batch."""
    import torch

    ids = list(tokens)
    for _ in range(count):
        with torch.inference_mode():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] in ends:
            break
    return ids[len(tokens) :]


def test_greedy_is_the_models_own_choice_in_any_batch(engine: Any, model: Any) -> None:
    calls = asks(GREEDY)
    for ready, answer in zip(engine.prepare(calls), run(engine, calls), strict=True):
        assert answer.token_ids == written(model, list(ready.tokens), 12)
        assert answer.prompt_tokens == len(ready.tokens)
        assert answer.completion_tokens == len(answer.token_ids)
        assert answer.finish_reason == ("stop" if answer.token_ids[-1] in (5, 6) else "length")


def test_a_seed_gives_the_same_text_alone_and_in_company(engine: Any) -> None:
    for sampling in (WARM, replace(WARM, top_k=20, top_p=0.9, min_p=0.01)):
        calls = asks(sampling)
        together = [answer.text for answer in run(engine, calls)]
        alone = [run(engine, [call])[0].text for call in calls]
        assert together == alone and len(set(alone)) > 1
        again = run(engine, [replace(calls[5], seed=1)])[0].text
        assert again != alone[5]


def test_log_probabilities_are_the_models(engine: Any, model: Any) -> None:
    import torch

    calls = asks(replace(WARM, temperature=0.7, repetition_penalty=1.3, logprobs=3), 5)
    for ready, answer in zip(engine.prepare(calls), run(engine, calls), strict=True):
        ids = [*ready.tokens, *answer.token_ids]
        with torch.inference_mode():
            own = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        rows = own[len(ready.tokens) - 1 : -1]
        expected = rows[range(len(answer.token_ids)), answer.token_ids]
        assert answer.token_logprobs == pytest.approx(expected.tolist(), abs=1e-3)
        assert answer.logprob == pytest.approx(sum(answer.token_logprobs), abs=1e-3)
        assert answer.top_ids == rows.topk(3).indices.tolist()


def test_scoring_equals_a_forward_pass(engine: Any, model: Any) -> None:
    import torch

    calls = [
        ScoreTokens("main", text="b" * n, prefix_text="a" * n, top=2) for n in (3, 30, 7, 1, 9)
    ]
    for ready, answer in zip(engine.prepare(calls), run(engine, calls), strict=True):
        with torch.inference_mode():
            own = model(torch.tensor([list(ready.tokens)])).logits[0].log_softmax(-1)
        start = ready.call.start
        assert answer.token_ids == list(ready.tokens)[start:]
        expected = own[range(start - 1, len(ready.tokens) - 1), answer.token_ids]
        assert answer.token_logprobs == pytest.approx(expected.tolist(), abs=1e-4)
        assert answer.logprob == pytest.approx(float(expected.sum()), abs=1e-3)
        assert answer.top_ids == own[start - 1 : -1].topk(2).indices.tolist()


def test_repetition_penalty_is_transformers_own(engine: Any, model: Any) -> None:
    import torch
    from transformers import RepetitionPenaltyLogitsProcessor

    call = Generate("main", replace(GREEDY, repetition_penalty=1.5), 0, text="penalty")
    (ready,), (answer,) = engine.prepare([call]), run(engine, [call])
    ids, punish = list(ready.tokens), RepetitionPenaltyLogitsProcessor(1.5)
    for token in answer.token_ids:
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[:, -1]
        assert token == int(punish(torch.tensor([ids]), logits).argmax())
        ids.append(token)


def test_a_large_presence_penalty_bars_repeats(engine: Any) -> None:
    calls = asks(replace(GREEDY, max_tokens=40, presence_penalty=2.0, frequency_penalty=2.0), 3)
    free = asks(replace(GREEDY, max_tokens=40), 3)
    for barred, loose in zip(run(engine, calls), run(engine, free), strict=True):
        assert max(Counter(barred.token_ids).values()) <= max(Counter(loose.token_ids).values())


def test_uniforms_draw_the_distribution() -> None:
    import torch

    logits = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).log()
    even = [(n + 0.5) / 1000 for n in range(1000)]

    def shares(sampling: Sampling) -> list[int]:
        drawn = Counter(choose(logits, [sampling], [point])[0] for point in even)
        return [drawn[token] for token in range(4)]

    assert shares(Sampling(1)) == pytest.approx([100, 200, 300, 400], abs=2)
    assert shares(Sampling(1, temperature=0.5)) == pytest.approx([33, 133, 300, 533], abs=2)
    assert shares(Sampling(1, top_k=2)) == pytest.approx([0, 0, 429, 571], abs=2)
    assert shares(Sampling(1, top_p=0.69)) == pytest.approx([0, 0, 429, 571], abs=2)
    assert shares(Sampling(1, min_p=0.6)) == pytest.approx([0, 0, 429, 571], abs=2)
    assert shares(Sampling(1, top_p=0.01)) == [0, 0, 0, 1000]
    assert choose(logits, [Sampling(1, temperature=0)], [0.0]) == [3]
    assert choose(logits, [Sampling(1)], [1.0 - 2**-53]) == [3]


def test_a_stop_string_ends_and_is_cut(engine: Any) -> None:
    (full,) = run(engine, [Generate("main", replace(WARM, max_tokens=60), 3, text="go")])
    letter = next(c for c in full.text[5:] if c.isalnum())
    stopped = replace(WARM, max_tokens=60, stop=("unseen words", letter))
    (answer,) = run(engine, [Generate("main", stopped, 3, text="go")])
    assert answer.finish_reason == "stop"
    assert answer.text == full.text.partition(letter)[0]
    assert answer.completion_tokens < full.completion_tokens


def test_structure_is_obeyed(engine: Any) -> None:
    needs("xgrammar")
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}, "n": {"enum": [1, 2]}},
        "required": ["ok", "n"],
        "additionalProperties": False,
    }
    calls = [
        Generate("main", replace(WARM, max_tokens=80, structure=structure), seed, text="x")
        for seed in range(3)
        for structure in (
            Structure("choice", ('yes "é"', "no\n")),
            Structure("regex", r"[a-c]{3}-[0-9]{2}"),
            Structure("json", json.dumps(schema)),
        )
    ]
    answers = run(engine, calls)
    for answer in answers[0::3]:
        assert answer.text in ('yes "é"', "no\n")
    for answer in answers[1::3]:
        assert re.fullmatch(r"[a-c]{3}-[0-9]{2}", answer.text)
    for answer in answers[2::3]:
        if answer.finish_reason == "stop":  # white space may go on until max_tokens
            assert set(json.loads(answer.text)) == {"ok", "n"}
    assert any(answer.finish_reason == "stop" for answer in answers[2::3])
    bad = Generate("main", replace(WARM, structure=Structure("json", '{"type": 5}')), 0, text="x")
    (failed,) = run(engine, [bad])
    assert isinstance(failed, Failure) and failed.reason == "rejected"


def test_without_xgrammar_the_extra_is_named(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers_grammar, "find_spec", lambda name: None)
    call = Generate("main", replace(WARM, structure=Structure("regex", "a")), 0, text="x")
    with pytest.raises(RecipeError, match=r"gristmill\[synth\]"):
        engine.submit(0, engine.prepare([call])[0])


def test_a_long_request_does_not_hold_back_short_ones(folder: Path) -> None:
    engine = engine_of(folder, batch_size=2)
    long = Generate("main", replace(WARM, max_tokens=200, structure=None), 1, text="long")
    calls = [long, *asks(replace(GREEDY, max_tokens=2), 8)]
    order: list[int] = []
    for ticket, ready in enumerate(engine.prepare(calls)):
        engine.submit(ticket, ready)
    while len(order) < len(calls):
        order += [ticket for ticket, _ in engine.poll(1.0)]
    assert order[-1] == 0 and sorted(order) == list(range(9))


def test_aborted_requests_are_not_answered_and_harm_no_other(engine: Any) -> None:
    calls = asks(replace(GREEDY, max_tokens=20), 6)
    expected = run(engine, calls)
    for ticket, ready in enumerate(engine.prepare(calls)):
        engine.submit(ticket, ready)
    found = dict(engine.poll(0))
    engine.abort([0, 5])
    for _ in range(60):
        found.update(engine.poll(0))
    assert set(found) == {1, 2, 3, 4}
    assert all(found[t].token_ids == expected[t].token_ids for t in found)


def test_a_window_of_attention_is_kept(tmp_path: Path) -> None:
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    tokens = build_tokenizer(tmp_path)
    config = MistralConfig(
        vocab_size=tokens,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=128,
        sliding_window=6,
        initializer_range=0.3,
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = MistralForCausalLM(config).eval()
    model.save_pretrained(tmp_path)
    engine = engine_of(tmp_path, batch_size=3)
    calls = asks(GREEDY, 5)
    for ready, answer in zip(engine.prepare(calls), run(engine, calls), strict=True):
        assert answer.token_ids == written(model, list(ready.tokens), 12, engine.rendering.stop_ids)


def test_a_model_with_states_is_refused(tmp_path: Path) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=build_tokenizer(tmp_path), hidden_size=16, num_hidden_layers=1)
    MambaForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(RecipeError, match="use the engine vllm"):
        engine_of(tmp_path, max_model_len=64)


def test_rewards_equal_a_forward_pass(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    build_llama(tmp_path, 1, reward=True)
    engine = engine_of(tmp_path, pooling=True, batch_size=4)
    turns = [({"role": "user", "content": "x" * n},) for n in (1, 9, 4)]
    calls = [Reward("main", messages=m) for m in turns]
    calls += [Reward("main", text="plain"), Reward("main", text="ends in <pad>")]
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    hidden = model.model
    for ready, answer in zip(engine.prepare(calls), run(engine, calls), strict=True):
        with torch.inference_mode():
            last = hidden(torch.tensor([list(ready.tokens)])).last_hidden_state[0, -1]
            assert answer.value == pytest.approx(float(model.score(last)), abs=1e-4)
    with pytest.raises(RecipeError, match="pooling"):
        engine.prepare(asks(GREEDY, 1))


def test_a_model_that_fails_takes_the_batch_and_starts_again(folder: Path) -> None:
    engine = engine_of(folder, batch_size=2)
    call = Generate("main", GREEDY, 0, text="again")
    (before,) = run(engine, [call])

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("out of memory")

    engine._model.forward = broken
    engine.submit(7, engine.prepare([call])[0])
    with pytest.raises(EngineDied, match="out of memory"):
        engine.poll(1.0)
    with pytest.raises(EngineDied):
        engine.submit(8, engine.prepare([call])[0])
    engine.start()
    (after,) = run(engine, [call])
    assert isinstance(after, Answer) and after.text == before.text
    engine.close()
    engine.close()
    assert engine.poll(0) == []


def test_settings_that_cannot_be(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="unknown key 'temperature'"):
        parse_spec("main", {"transformers": {"model": "m", "temperature": 1}})
    with pytest.raises(RecipeError, match="max_model_len is 999"):
        parse_spec("main", {"transformers": {"model": str(folder), "max_model_len": 999}}).check()
    with pytest.raises(RecipeError, match="dtype is 'float31'"):
        engine_of(folder, dtype="float31")
    spec = parse_spec("main", {"transformers": {"model": str(folder), "batch_size": 3}})
    moved = parse_spec("main", {"transformers": {"model": str(folder), "device": "cpu"}})
    assert spec.config() == moved.config()
    assert str(folder) not in json.dumps(spec.config())
    assert {Path(file).name for file in spec.files()} >= {"model.safetensors", "tokenizer.json"}
