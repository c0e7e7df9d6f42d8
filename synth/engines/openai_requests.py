"""Requests: what is sent for a call, every sampling parameter spelt out.

In: a Ready call and what the server offers. Out: a path and a JSON body, or why there is none.
Shown by: `python -m pytest tests/synth/engines/test_openai_requests.py`.
Limit: one completion a request (`n` is 1); several are several requests with seeds of their own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from gristmill.errors import RecipeError
from synth.calls import Generate, ModelCall, Ready, Reward, Sampling, ScoreTokens, Structure

Body = dict[str, Any]
NEUTRAL = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}  # sent even so: defaults differ
REWARD_PATHS = ("classify", "pooling")  # in this order; beside /v1, not under it


@dataclass(frozen=True, slots=True)
class Offer:
    """What a server was found to take: its paths, and request fields beyond the common ones."""

    model: str
    paths: frozenset[str] = frozenset({"chat/completions", "completions"})
    fields: frozenset[str] = frozenset()  # top_k, min_p, structured_outputs, logprobs, …
    limit: str = "max_tokens"  # or max_completion_tokens, of chat completions
    context: int | None = None  # tokens of prompt and completion, where the server tells
    card: str = ""  # what /models says of the model; another card is another model

    def reward_path(self) -> str | None:
        """The path that scores a conversation."""
        return next((path for path in REWARD_PATHS if path in self.paths), None)


def check_offer(call: ModelCall, offer: Offer, url: str, tokenised: bool) -> None:
    """Raise RecipeError where this kind of call can never be answered by this server."""
    if isinstance(call, Reward):
        if offer.reward_path() is None:
            raise RecipeError(
                f"the server at {url} has neither /classify nor /pooling, which rewards need; "
                "start one with a reward model and `--runner pooling`, or use engine `transformers`"
            )
        return
    chat = isinstance(call, Generate) and call.messages is not None and not tokenised
    path = "chat/completions" if chat else "completions"
    if path not in offer.paths:
        if isinstance(call, ScoreTokens):
            fix = "scoring tokens needs it: use `vllm serve`, or the engine `vllm`"
        elif tokenised and "chat/completions" in offer.paths:
            fix = "token ids need it: leave out `tokenizer`"
        else:
            fix = "start it with a model that generates (`--runner generate`)"
        raise RecipeError(f"the server at {url} has no /v1/{path}; {fix}")
    if isinstance(call, ScoreTokens) and call.top and "prompt_logprobs" not in offer.fields:
        raise RecipeError(
            f"the server at {url} does not take prompt_logprobs, so that `top` has no token ids; "
            "use `vllm serve`, or the engine `vllm`"
        )


def unsupported(sampling: Sampling, offer: Offer) -> str:
    """What of the sampling parameters the server does not take; "" if it takes all."""
    for name, neutral in NEUTRAL.items():
        value = getattr(sampling, name)
        if name not in offer.fields and value not in (neutral, 0):
            return f"the server does not take {name} (asked for {value})"
    if sampling.logprobs and "logprobs" not in offer.fields:
        return "the server does not take logprobs"
    structure = sampling.structure
    if structure is None or "structured_outputs" in offer.fields:
        return ""
    if structure.kind != "json":
        return f"the server does not take structured_outputs, which a {structure.kind} needs"
    return "" if "response_format" in offer.fields else "the server does not take response_format"


def build(ready: Ready, offer: Offer, extra: Body) -> tuple[str, Body]:
    """The path and the body of one request; `extra` is the recipe's extra_body."""
    call = ready.call
    if isinstance(call, Generate):
        path, body = _generate(call, ready, offer)
    elif isinstance(call, ScoreTokens):
        path, body = _score(call, ready, offer)
    else:
        path, body = _reward(call, ready, offer)
    return path, {"model": offer.model, **body, **extra}


def _generate(call: Generate, ready: Ready, offer: Offer) -> tuple[str, Body]:
    s = call.sampling
    chat = ready.tokens is None and call.messages is not None
    body: Body = {"messages": list(call.messages or ())} if chat else {"prompt": _prompt(ready)}
    if chat and call.messages and call.messages[-1]["role"] == "assistant":
        if "continue_final_message" in offer.fields:  # a turn that was begun goes on
            body |= {"continue_final_message": True, "add_generation_prompt": False}
    body |= {
        "n": 1,
        offer.limit if chat else "max_tokens": s.max_tokens,
        "temperature": s.temperature,
        "top_p": s.top_p,
        "presence_penalty": s.presence_penalty,
        "frequency_penalty": s.frequency_penalty,
    }
    for name, neutral in NEUTRAL.items():
        if name in offer.fields:
            value = getattr(s, name)
            body[name] = neutral if name == "top_k" and value == 0 else value
    if s.temperature > 0:
        body["seed"] = call.seed
    if s.stop:
        body["stop"] = list(s.stop)
    if s.structure is not None:
        body |= _structure(s.structure, offer)
    if "logprobs" in offer.fields:
        told = s.logprobs
        if "return_tokens_as_token_ids" in offer.fields:
            body["return_tokens_as_token_ids"] = True
            # vLLM's chat lists the sampled token among the k, in place of the k-th if need be.
            told += chat and told > 0
        body |= {"logprobs": True, "top_logprobs": told} if chat else {"logprobs": told}
    if not chat and ready.tokens is None and "add_special_tokens" in offer.fields:
        body["add_special_tokens"] = True
    return ("chat/completions" if chat else "completions"), body


def _structure(structure: Structure, offer: Offer) -> Body:
    if structure.kind == "json":
        schema = json.loads(str(structure.value))
        if "response_format" not in offer.fields:
            return {"structured_outputs": {"json": schema}}
        named = {"name": "answer", "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    value = structure.value if isinstance(structure.value, str) else list(structure.value)
    return {"structured_outputs": {structure.kind: value}}


def _score(call: ScoreTokens, ready: Ready, offer: Offer) -> tuple[str, Body]:
    """Echo the prompt with its log-probabilities; nothing is generated."""
    body: Body = {
        "prompt": _prompt(ready),
        "n": 1,
        "max_tokens": 0,
        "echo": True,
        "temperature": 1.0,
        "logprobs": call.top,
    }
    if "prompt_logprobs" in offer.fields:
        body |= {"prompt_logprobs": call.top, "return_token_ids": True}
    if ready.tokens is None and "add_special_tokens" in offer.fields:
        body["add_special_tokens"] = True
    return "completions", body


def _reward(call: Reward, ready: Ready, offer: Offer) -> tuple[str, Body]:
    path = offer.reward_path() or REWARD_PATHS[0]
    body: Body = {}
    if ready.tokens is None and call.messages is not None:
        body = {"messages": list(call.messages), "add_generation_prompt": False}
    else:
        body = {"input": _prompt(ready)}
    if path == "pooling":
        body["encoding_format"] = "float"
    return path, body | {"use_activation": False}  # the model's own scalar, not a probability


def _prompt(ready: Ready) -> Any:
    return ready.text if ready.tokens is None else list(ready.tokens)
