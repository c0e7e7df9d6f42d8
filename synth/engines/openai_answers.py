"""Answers: a server's JSON into an Answer, a typed Failure, or a reason to ask again.

In: the call and the decoded body. Out: Answer or Failure; Broken where the body is not one.
Shown by: `python -m pytest tests/synth/engines/test_openai_requests.py`.
Limit: token ids are known only where the server tells them (vLLM does).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synth.calls import Answer, Failure, Generate, Ready, ScoreTokens

THINK, UNTHINK = "<think>", "</think>"
TOKEN_ID = "token_id:"  # how vLLM writes a token with return_tokens_as_token_ids
TOO_LONG = (
    "context_length_exceeded",
    "maximum context length",
    "context length",
    "context window",
    "max_model_len",
    "maximum model length",
    "prompt is too long",
    "longer than the maximum",
)


class Broken(Exception):
    """The body is no complete answer: cut off, no choices, another form. Asked again."""


def read(ready: Ready, body: Any) -> Answer | Failure:
    """What a 200 says. Broken for anything that is not the form of its endpoint."""
    call = ready.call
    try:
        if isinstance(call, Generate):
            found = _generated(call, body)
        elif isinstance(call, ScoreTokens):
            found = _scored(call, ready, body)
        else:
            found = _reward(body)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise Broken(f"the answer has another form ({type(error).__name__}: {error})") from None
    if isinstance(found, Answer):
        usage = body.get("usage") or {}
        found.prompt_tokens = int(usage.get("prompt_tokens") or 0)
        if isinstance(call, Generate):  # vLLM makes one token even where none was asked
            found.completion_tokens = int(usage.get("completion_tokens") or 0)
    return found


def too_long(message: str) -> bool:
    """Whether a refusal says that the prompt does not fit the context."""
    lower = message.lower()
    return any(part in lower for part in TOO_LONG)


def _generated(call: Generate, body: Any) -> Answer | Failure:
    if not body["choices"]:
        raise Broken("the answer has no choices")
    choice = body["choices"][0]
    reason = choice["finish_reason"]
    if reason not in ("stop", "length", "content_filter"):
        raise Broken(f"the answer ended with finish_reason {reason!r}")
    message = choice.get("message")
    refusal = (message or {}).get("refusal")
    if refusal or reason == "content_filter":
        return Failure("refused", str(refusal or "finish_reason content_filter"))
    text = choice["text"] if message is None else _message(message, reason)
    answer = Answer(text=text or "", finish_reason=reason)
    logprobs = choice.get("logprobs")
    if logprobs and message is None:
        tokens, values = logprobs["tokens"], logprobs["token_logprobs"]
        tops: Any = [_pairs(top) for top in logprobs.get("top_logprobs") or ()]
    elif logprobs and logprobs.get("content"):
        content = logprobs["content"]
        tokens = [part["token"] for part in content]
        values = [part["logprob"] for part in content]
        tops = [
            [(top["token"], top["logprob"]) for top in part["top_logprobs"]] for part in content
        ]
    else:
        return answer
    answer.logprob = float(sum(values))
    known = all(token.startswith(TOKEN_ID) for token in tokens)
    if known:
        answer.token_ids = [_id(token) for token in tokens]
    if call.sampling.logprobs:
        answer.token_logprobs = [float(value) for value in values]
        if known:
            _tops(answer, tops, call.sampling.logprobs)
    return answer


def _message(message: Any, reason: str) -> str:
    """The text, with what a reasoning parser took out back in front, as the model wrote it."""
    content = message.get("content")
    thought = message.get("reasoning_content") or message.get("reasoning")
    if not thought:
        return content or ""
    if content is None and reason == "length":
        return f"{THINK}{thought}"  # the limit came first: the tag was never closed
    return f"{THINK}{thought}{UNTHINK}{content or ''}"


def _scored(call: ScoreTokens, ready: Ready, body: Any) -> Answer | Failure:
    if not body["choices"]:
        raise Broken("the answer has no choices")
    choice = body["choices"][0]
    start = _start(call, ready, choice)
    if start is None:
        return Failure(
            "rejected",
            "the server's tokens do not show where prefix_text ends; give engine openai the local "
            "`tokenizer` folder of the served model",
        )
    if choice.get("prompt_logprobs") is not None:
        ids = list(ready.tokens or choice["prompt_token_ids"])
        table = choice["prompt_logprobs"]
        part = list(zip(ids, table, strict=True))[start:]
        values = [float(entry[str(token)]["logprob"]) for token, entry in part]
        answer = Answer(token_ids=ids[start:], token_logprobs=values)
        if call.top:
            tops = [[(key, one["logprob"]) for key, one in entry.items()] for _, entry in part]
            _tops(answer, tops, call.top)
    else:
        given = choice["logprobs"]["token_logprobs"]
        answer = Answer(token_logprobs=[float(value) for value in given[start:]])
    if not answer.token_logprobs:
        return Failure("empty", f"nothing to score from token {start}")
    answer.logprob = float(sum(answer.token_logprobs))
    return answer


def _start(call: ScoreTokens, ready: Ready, choice: Any) -> int | None:
    """The first token scored: `start`, or the first with a character after prefix_text.

    Counted from the end: what stands before the text (BOS) is echoed too. None where the tokens
    that the server shows do not spell the text.
    """
    if ready.tokens is not None or call.text is None or not call.prefix_text:
        return max(1, call.start)
    tokens = choice["logprobs"]["tokens"]
    if not "".join(tokens).endswith(call.text):
        return None
    index, left = len(tokens), len(call.text)
    while left > 0 or (index > 1 and not tokens[index - 1]):  # "": bytes of the next character
        index -= 1
        left -= len(tokens[index])
    return max(1, index)


def _reward(body: Any) -> Answer | Failure:
    if not body["data"]:
        raise Broken("the answer has no data")
    first = body["data"][0]
    values = first["probs"] if "probs" in first else first["data"]
    while isinstance(values, list) and values and isinstance(values[-1], list):
        values = values[-1]  # token by token: the last one has read everything
    if not isinstance(values, list):
        values = [values]
    if len(values) != 1:
        detail = f"the model gives {len(values)} values for a text; a reward model gives one"
        return Failure("rejected", detail)
    return Answer(value=float(values[0]))


def _tops(answer: Answer, tops: Sequence[Sequence[tuple[str, float]]], most: int) -> None:
    """The most probable tokens, best first; the token itself may be told beside them."""
    best = [sorted(((-value, _id(token)) for token, value in top))[:most] for top in tops]
    answer.top_ids = [[token for _, token in row] for row in best]
    answer.top_logprobs = [[-value for value, _ in row] for row in best]


def _pairs(top: Any) -> list[tuple[str, float]]:
    return list((top or {}).items())


def _id(token: str) -> int:
    return int(token.removeprefix(TOKEN_ID))
