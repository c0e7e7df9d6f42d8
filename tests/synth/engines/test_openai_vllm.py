"""The openai engine against a real `vllm serve` on loopback, with tiny models built here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gristmill.errors import RecipeError
from synth.calls import Answer, Failure, Generate, Reward, Sampling, ScoreTokens, Structure
from synth.engines.spec import parse_spec
from tests.extras import needs
from tests.synth.engines.faulty_server import answers
from tests.synth.engines.serve import connections, metric, serve
from tests.synth.engines.tiny import CONTEXT, build_llama

needs("vllm", "httpx", "transformers")

pytestmark = pytest.mark.slow
CHAT = ({"role": "user", "content": "the sea is"},)
GREEDY = Sampling(8, temperature=0.0)
SLOTS = 8  # max_num_seqs of the server


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_llama(tmp_path_factory.mktemp("tiny"), 3)


@pytest.fixture(scope="module")
def url(model: Path) -> Iterator[str]:
    with serve(model, "--max-num-seqs", str(SLOTS)) as address:
        yield address


@pytest.fixture(scope="module")
def rewards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = build_llama(tmp_path_factory.mktemp("reward"), 4, reward=True)
    with serve(folder, "--runner", "pooling") as address:
        yield address, folder


def ask(url: str, calls: list[Any], **options: Any) -> list[Any]:
    engine = parse_spec("main", {"openai": {"url": url, "model": "tiny", **options}}).open()
    try:
        return answers(engine, calls, within=300)
    finally:
        engine.close()


def test_chats_with_and_without_a_local_tokenizer_are_the_same(url: str, model: Path) -> None:
    calls = [
        Generate("main", GREEDY, 1, messages=CHAT),
        Generate("main", GREEDY, 1, text="the sea is"),
        Generate("main", Sampling(8, logprobs=3), 5, messages=CHAT),
        Generate("main", Sampling(8, logprobs=3, top_k=9), 5, text="the sea is"),
    ]
    there, here = ask(url, calls), ask(url, calls, tokenizer=str(model))
    for one, other in zip(there, here, strict=True):
        assert one.token_ids == other.token_ids and one.text == other.text
        assert one.prompt_tokens == other.prompt_tokens > 3
        assert one.logprob == pytest.approx(other.logprob, abs=1e-4)
        assert one.top_ids == other.top_ids
        assert one.finish_reason in ("stop", "length") and one.completion_tokens <= 8


def test_seeds_decide(url: str) -> None:
    calls = [Generate("main", Sampling(12), seed, messages=CHAT) for seed in (5, 5, 6, 2**63 - 1)]
    first, again, other, widest = ask(url, calls)
    assert first.token_ids == again.token_ids != other.token_ids
    assert isinstance(widest, Answer)


def test_log_probabilities_of_a_completion(url: str) -> None:
    with_tops, only_sum = ask(
        url,
        [
            Generate("main", Sampling(6, temperature=0.0, logprobs=4), 1, messages=CHAT),
            Generate("main", Sampling(6, temperature=0.0), 1, messages=CHAT),
        ],
    )
    assert with_tops.logprob == pytest.approx(sum(with_tops.token_logprobs))
    assert only_sum.logprob == pytest.approx(with_tops.logprob, abs=1e-4)
    assert only_sum.token_logprobs is None and only_sum.top_ids is None
    assert [row[0] for row in with_tops.top_ids] == with_tops.token_ids  # greedy: the best ones
    assert all(len(row) == 4 for row in with_tops.top_ids)
    assert all(row == sorted(row, reverse=True) for row in with_tops.top_logprobs)


def test_structures(url: str) -> None:
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    }
    kinds = [
        Structure("json", json.dumps(schema)),
        Structure("regex", "[0-9]{3}"),
        Structure("choice", ("Yes", "No")),
        Structure("regex", "(["),
    ]
    calls = [
        Generate("main", Sampling(150, 0.0, structure=kind), 1, messages=CHAT) for kind in kinds
    ]
    as_json, regex, choice, wrong = ask(url, calls)
    if as_json.finish_reason == "stop":  # a random model may write blanks until the limit
        assert isinstance(json.loads(as_json.text)["ok"], bool)
    assert as_json.text.lstrip().startswith("{")
    assert re.fullmatch("[0-9]{3}", regex.text) and choice.text in ("Yes", "No")
    assert isinstance(wrong, Failure) and wrong.reason == "rejected" and "regex" in wrong.detail


def test_scored_tokens_are_those_of_the_completion(url: str, model: Path) -> None:
    """What a model says of a text that it wrote greedily: each token was the best one."""
    (written,) = ask(
        url, [Generate("main", Sampling(6, 0.0, logprobs=2), 1, tokens=(1, 40, 50, 60))]
    )
    whole = (1, 40, 50, 60, *written.token_ids)
    (scored,) = ask(url, [ScoreTokens("main", tokens=whole, start=4, top=2)])
    assert scored.token_ids == written.token_ids
    assert scored.token_logprobs == pytest.approx(written.token_logprobs, abs=1e-3)
    assert scored.logprob == pytest.approx(written.logprob, abs=1e-3)
    assert scored.top_ids == written.top_ids
    calls = [
        ScoreTokens("main", text=" is blue", prefix_text="the sea", top=1),
        ScoreTokens("main", text="é, naïve: 水", prefix_text="dé"),
        ScoreTokens("main", text="the sea is blue"),
        ScoreTokens("main", text="x" * CONTEXT),
    ]
    there, here = ask(url, calls), ask(url, calls, tokenizer=str(model))
    for one, other in zip(there[:3], here[:3], strict=True):
        assert one.token_ids == other.token_ids
        assert one.token_logprobs == pytest.approx(other.token_logprobs, abs=1e-4)
        assert all(value < 0 and math.isfinite(value) for value in one.token_logprobs)
    assert len(there[0].token_ids) == len(" is blue")  # a token a byte
    assert len(there[1].token_ids) == len("é, naïve: 水".encode())
    assert [there[3].reason, here[3].reason] == ["too_long", "too_long"]


def test_a_users_turn_is_begun_with_a_tokenizer_only(url: str, model: Path) -> None:
    call = Generate("main", GREEDY, 1, messages=(), prefix="user")
    raw = Generate("main", GREEDY, 1, text="<|user|>")
    begun, same = ask(url, [call, raw], tokenizer=str(model))
    assert begun.token_ids == same.token_ids and begun.prompt_tokens == 2  # <s> and <|user|>
    with pytest.raises(RecipeError, match="prefix: user"):
        ask(url, [call])


def test_a_prompt_beyond_the_context(url: str, model: Path) -> None:
    long = Generate("main", GREEDY, 1, messages=({"role": "user", "content": "x" * CONTEXT},))
    for options in ({}, {"tokenizer": str(model)}):
        (failure,) = ask(url, [long], **options)
        assert failure.reason == "too_long"


def test_keys_name_model_prompt_and_parameters(url: str, model: Path) -> None:
    def engine(**options: Any) -> Any:
        return parse_spec("main", {"openai": {"url": url, "model": "tiny", **options}}).open()

    call = Generate("main", Sampling(8), 5, messages=CHAT)
    others = [
        Generate("main", Sampling(8), 6, messages=CHAT),
        Generate("main", Sampling(8, temperature=0.5), 5, messages=CHAT),
        Generate("main", Sampling(8), 5, messages=({"role": "user", "content": "The sea is"},)),
        Generate("main", Sampling(8), 5, text="the sea is"),
        Generate("main", Sampling(8), 5, messages=(*CHAT, *CHAT)),
    ]
    keys = [ready.key for ready in engine().prepare([call, *others])]
    assert len(set(keys)) == len(keys)
    longer = Generate("main", Sampling(80), 5, messages=CHAT)
    assert engine().prepare([longer])[0].key == keys[0]  # the log decides about the limit
    told = {
        engine(**options).prepare([call])[0].key
        for options in ({}, {"revision": "b"}, {"extra_body": {"x": 1}}, {"tokenizer": str(model)})
    }
    assert len(told) == 4
    assert engine(timeout_s=9, retries=1).prepare([call])[0].key == keys[0]


def test_the_client_follows_the_servers_queue_over_few_sockets(url: str) -> None:
    done = metric(url, "vllm:request_success_total")
    options = {"url": url, "model": "tiny"}
    engine = parse_spec("main", {"openai": options}).open()
    calls = [Generate("main", Sampling(24), seed, messages=CHAT) for seed in range(400)]
    engine.start()
    readies, found, most, sockets, sent = engine.prepare(calls), {}, 0, 0, 0
    while len(found) < len(calls):
        while sent < len(calls) and sent - len(found) < engine.capacity:
            engine.submit(sent, readies[sent])
            sent += 1
        found |= dict(engine.poll(0.2))
        most, sockets = max(most, engine.capacity), max(sockets, connections(url))
    engine.close()
    assert all(isinstance(one, Answer) for one in found.values())
    assert metric(url, "vllm:request_success_total") - done == len(calls)  # none was made twice
    assert SLOTS <= most <= 10 * SLOTS  # far below the ceiling: more would only wait there
    assert sockets <= most + 1
    assert connections(url) == 0


def test_rewards(rewards: tuple[str, Path]) -> None:
    url, folder = rewards
    said = (*CHAT, {"role": "assistant", "content": "blue"})
    calls = [Reward("rm", messages=said), Reward("rm", text="the sea"), Reward("rm", messages=CHAT)]
    there, here = ask(url, calls), ask(url, calls, tokenizer=str(folder))
    for one, other in zip(there, here, strict=True):
        assert one.value == pytest.approx(other.value, abs=1e-4)
    assert len({round(one.value, 6) for one in there}) == 3
    assert any(abs(one.value) > 1 for one in there)  # scalars, not probabilities
    with pytest.raises(RecipeError, match=r"no /v1/(chat/)?completions.*--runner generate"):
        ask(url, [Generate("main", GREEDY, 1, messages=CHAT)])
