"""What is sent for a call, and how an answer is read, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from synth.calls import Answer, Failure, Generate, Ready, Reward, Sampling, ScoreTokens, Structure
from synth.engines.openai_answers import Broken, read, too_long
from synth.engines.openai_requests import Offer, build, unsupported
from tests.synth.engines.faulty_server import completion

VLLM = Offer(
    "tiny",
    frozenset({"chat/completions", "completions"}),
    frozenset(
        "top_k min_p repetition_penalty logprobs response_format structured_outputs "
        "return_tokens_as_token_ids prompt_logprobs add_special_tokens "
        "continue_final_message".split()
    ),
)
PLAIN = Offer("gpt", fields=frozenset({"logprobs", "response_format"}))
CHAT = ({"role": "user", "content": "hello"},)


def chat(sampling: Sampling, **options: Any) -> Ready:
    return Ready(Generate("main", sampling, 77, messages=CHAT, **options), b"k" * 16)


def test_every_parameter_is_sent_so_that_no_default_of_the_server_counts() -> None:
    path, body = build(chat(Sampling(9)), VLLM, {})
    assert path == "chat/completions"
    assert body == {
        "model": "tiny",
        "messages": list(CHAT),
        "n": 1,
        "max_tokens": 9,
        "temperature": 1.0,
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "seed": 77,
        "logprobs": True,
        "top_logprobs": 0,
        "return_tokens_as_token_ids": True,
    }


def test_a_plain_server_gets_common_parameters_only() -> None:
    _, body = build(chat(Sampling(9, temperature=0.0, stop=("\n",))), PLAIN, {"user": "mill"})
    assert not {"top_k", "min_p", "repetition_penalty", "return_tokens_as_token_ids"} & set(body)
    assert "seed" not in body and body["stop"] == ["\n"] and body["user"] == "mill"
    assert (
        unsupported(Sampling(9, top_k=5), PLAIN) == "the server does not take top_k (asked for 5)"
    )
    assert unsupported(Sampling(9), PLAIN) == ""


def test_a_limit_goes_by_the_name_that_the_server_takes() -> None:
    offer = Offer("o", limit="max_completion_tokens")
    _, body = build(chat(Sampling(9)), offer, {})
    assert body["max_completion_tokens"] == 9 and "max_tokens" not in body


def test_structures() -> None:
    json_kind = Sampling(9, structure=Structure("json", '{"type":"object"}'))
    regex = Sampling(9, structure=Structure("regex", "[0-9]+"))
    choice = Sampling(9, structure=Structure("choice", ("Yes", "No")))
    sent = build(chat(json_kind), VLLM, {})[1]["response_format"]
    assert sent["type"] == "json_schema" and sent["json_schema"]["schema"] == {"type": "object"}
    assert build(chat(regex), VLLM, {})[1]["structured_outputs"] == {"regex": "[0-9]+"}
    assert build(chat(choice), VLLM, {})[1]["structured_outputs"] == {"choice": ["Yes", "No"]}
    assert unsupported(json_kind, PLAIN) == ""
    assert "which a regex needs" in unsupported(regex, PLAIN)
    assert "response_format" in unsupported(json_kind, Offer("o"))


def test_a_turn_that_was_begun_goes_on() -> None:
    begun = (*CHAT, {"role": "assistant", "content": "I th"})
    ready = Ready(Generate("main", Sampling(9), 1, messages=begun), b"k")
    body = build(ready, VLLM, {})[1]
    assert body["continue_final_message"] is True and body["add_generation_prompt"] is False


def test_token_ids_go_to_completions() -> None:
    ready = Ready(Generate("main", Sampling(9), 1, messages=CHAT), b"k", [5, 6])
    path, body = build(ready, VLLM, {})
    assert path == "completions" and body["prompt"] == [5, 6] and body["logprobs"] == 0
    assert "add_special_tokens" not in body


def test_a_reward_is_asked_without_activation() -> None:
    offer = Offer("rm", frozenset({"pooling", "classify"}))
    path, body = build(Ready(Reward("rm", messages=CHAT), b"k"), offer, {})
    assert path == "classify" and body["use_activation"] is False
    path, body = build(Ready(Reward("rm", text="x"), b"k", text="x"), Offer("rm"), {})
    assert body["input"] == "x"


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_put_back_in_front(name: str) -> None:
    whole = completion("42", message={name: "six times seven"})
    found = read(chat(Sampling(9)), whole)
    assert isinstance(found, Answer) and found.text == "<think>six times seven</think>42"
    cut = completion("", message={name: "six times", "content": None}, finish_reason="length")
    found = read(chat(Sampling(9)), cut)
    assert isinstance(found, Answer) and found.text == "<think>six times"
    assert found.finish_reason == "length"


def test_usage_and_reason_are_read() -> None:
    found = read(chat(Sampling(9)), completion("x", finish_reason="length"))
    assert isinstance(found, Answer)
    assert (found.prompt_tokens, found.completion_tokens, found.finish_reason) == (3, 2, "length")


def test_a_refusal_is_a_failure() -> None:
    for body in (
        completion("", message={"refusal": "I will not"}),
        completion("", finish_reason="content_filter"),
    ):
        found = read(chat(Sampling(9)), body)
        assert isinstance(found, Failure) and found.reason == "refused"


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        "text",
        {"choices": []},
        {"choices": [{}]},
        completion("x", finish_reason=None),
        completion("x", finish_reason="abort"),
        {"choices": [{"finish_reason": "stop", "message": 3}]},
        completion("x", logprobs={"content": [{"token": "x"}]}),
    ],
)
def test_what_is_no_whole_answer_is_broken(body: Any) -> None:
    with pytest.raises(Broken):
        read(chat(Sampling(9)), body)


def test_the_sampled_token_does_not_push_a_more_probable_one_out() -> None:
    """vLLM's chat lists the sampled token among the top ones that were asked for."""
    ready = chat(Sampling(9, logprobs=2))
    assert build(ready, VLLM, {})[1]["top_logprobs"] == 3
    assert build(ready, PLAIN, {})[1]["top_logprobs"] == 2
    top = [
        {"token": f"token_id:{n}", "logprob": value}
        for n, value in [(9, -5.0), (1, -0.5), (4, -1.0)]
    ]
    part = {"token": "token_id:9", "logprob": -5.0, "top_logprobs": top}
    found = read(ready, completion("x", logprobs={"content": [part]}))
    assert isinstance(found, Answer)
    assert found.token_ids == [9] and found.token_logprobs == [-5.0] and found.logprob == -5.0
    assert found.top_ids == [[1, 4]] and found.top_logprobs == [[-0.5, -1.0]]


def test_scores_begin_where_the_prefix_ends() -> None:
    def echoed(*tokens: str) -> Any:
        values = [None, *(-float(n) for n in range(1, len(tokens)))]
        return {"choices": [{"logprobs": {"tokens": tokens, "token_logprobs": values}}]}

    call = ScoreTokens("main", text="cd ef", prefix_text="ab ")
    for tokens, scored in (
        (("ab", " cd", " ef"), [-1.0, -2.0]),  # the token over the border is scored
        (("<s>", "ab ", "cd", " ef"), [-2.0, -3.0]),  # BOS shifts nothing
        (("ab ", "", "c", "d ef"), [-1.0, -2.0, -3.0]),  # a character of several tokens
    ):
        found = read(Ready(call, b"k", text="ab cd ef"), echoed(*tokens))
        assert isinstance(found, Answer) and found.token_logprobs == scored
    unclear = read(Ready(call, b"k", text="ab cd ef"), echoed("ab ", "bytes:\\x63", "d ef"))
    assert isinstance(unclear, Failure) and "tokenizer" in unclear.detail
    late = ScoreTokens("main", text="ab cd ef", start=3)
    none = read(Ready(late, b"k"), echoed("ab", " cd", " ef"))
    assert isinstance(none, Failure) and none.reason == "empty"


def test_a_classifier_of_several_classes_is_no_reward_model() -> None:
    ready = Ready(Reward("rm", text="x"), b"k")
    one = read(ready, {"data": [{"probs": [1.5]}]})
    assert isinstance(one, Answer) and one.value == 1.5
    by_token = read(ready, {"data": [{"data": [[0.1], [0.7]]}]})
    assert isinstance(by_token, Answer) and by_token.value == 0.7
    several = read(ready, {"data": [{"probs": [0.1, 0.9]}]})
    assert isinstance(several, Failure) and several.reason == "rejected"


@pytest.mark.parametrize(
    "said, is_length",
    [
        ("This model's maximum context length is 4096 tokens. However, you requested 5000", True),
        ("context_length_exceeded invalid_request_error", True),
        ("the request exceeds the available context size: context window of 2048", True),
        ("Invalid regex: unclosed group", False),
    ],
)
def test_a_refusal_for_length_is_known(said: str, is_length: bool) -> None:
    assert too_long(said) is is_length
