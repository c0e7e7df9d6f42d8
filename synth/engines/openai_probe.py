"""What a server is and takes, found by asking it: its model, its paths, its request fields.

In: a URL, headers without which it does not answer. Out: a Model and an Offer, or an error that
names the fix. Shown by: `python -m pytest tests/synth/engines/test_openai_faults.py -k start`.
Limit: a server without /openapi.json that ignores fields unknown to it passes for taking them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gristmill.errors import RecipeError, TaskError, nearest
from gristmill.ids import canonical_json, digest, short
from synth.calls import Model
from synth.engines.openai_limits import read_queue
from synth.engines.openai_requests import REWARD_PATHS, Offer

PATHS = {  # as the server writes it -> as requests name it
    "/v1/chat/completions": "chat/completions",
    "/v1/completions": "completions",
    **{f"/{path}": path for path in REWARD_PATHS},
}
TRIES, PAUSE = 3, 1.0  # at the start: long enough for a hiccup, short enough for a typing error
CHAT = [{"role": "user", "content": "Say yes."}]
LOGPROBS: dict[str, Any] = {"logprobs": True, "top_logprobs": 1}
SAMPLING = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
SCHEMA = {
    "type": "object",
    "properties": {"yes": {"type": "boolean"}},
    "required": ["yes"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": SCHEMA}}


@dataclass(frozen=True, slots=True)
class Site:
    """A server's addresses, and how to ask it. `base` ends in /v1 (or the provider's own path)."""

    base: str
    headers: dict[str, str]
    scrub: Callable[[str], str]  # takes secrets out of what the server says
    key_name: str | None = None  # the variable that holds the key

    @property
    def root(self) -> str:
        """Where /metrics, /openapi.json, /classify lie: beside /v1."""
        return self.base.removesuffix("/v1")

    def address(self, path: str) -> str:
        """The URL of one of an Offer's paths."""
        return f"{self.root if path in REWARD_PATHS else self.base}/{path}"

    def __repr__(self) -> str:  # headers hold the key
        return f"Site({self.base!r})"


def identify(site: Site, name: str, revision: str | None, extra: Any, template: str) -> Model:
    """Who answers under a name. TaskError where nobody does, RecipeError where it is not served."""
    listed = _listed(site)
    card = card_of(listed, name)
    if not card:
        names = [str(one.get("id")) for one in listed]
        hint = nearest(name, names)
        raise RecipeError(f"model is {name!r}, which {site.base} does not serve{hint}")
    root = json.loads(card)["root"]
    mark = short(digest([card, revision, extra]))
    return Model(name, f"{revision or root or name}#{mark}", template)


def card_of(listed: list[dict[str, Any]], name: str) -> str:
    """Canonical JSON of what /models says of a model; "" where it is not listed."""
    for one in listed:
        if one.get("id") == name:
            return canonical_json({key: one.get(key) for key in ("id", "root", "owned_by")})
    return ""


def cards(page: str) -> list[dict[str, Any]]:
    """The models that a /models page lists. ValueError where it is no such page."""
    found = json.loads(page)
    data = found.get("data") if isinstance(found, dict) else None
    if not isinstance(data, list):
        raise ValueError("no list of models")
    return [one for one in data if isinstance(one, dict)]


def _listed(site: Site) -> list[dict[str, Any]]:
    import httpx

    tried, last = f"GET {site.base}/models, {TRIES} times", ""
    with httpx.Client(headers=site.headers, timeout=15) as client:
        for attempt in range(TRIES):
            time.sleep(PAUSE * attempt)
            try:
                answer = client.get(f"{site.base}/models")
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                last = site.scrub(f"{type(error).__name__}: {error}")
                continue
            text = site.scrub(answer.text[:200])
            if answer.status_code in (401, 403):
                key = f"the key in {site.key_name}" if site.key_name else "a request without key"
                raise RecipeError(
                    f"{site.base} refuses {key} (HTTP {answer.status_code}: {text}); set "
                    "`api_key_env` to the name of the variable with a valid key"
                )
            if answer.status_code == 404:
                raise RecipeError(
                    f"{site.base}/models is not there (HTTP 404); `url` is the address under which "
                    "/models and /chat/completions lie, as `http://localhost:8000/v1`"
                )
            try:
                return cards(answer.text)
            except ValueError:
                last = f"HTTP {answer.status_code}: {text}"
    raise TaskError(
        f"no server answers at {site.base} (tried {tried}; last: {last}). Start it, e.g. "
        "`vllm serve MODEL`, or correct `url`; finished work is kept and the same command continues"
    )


def offer_of(site: Site, model: str) -> tuple[Offer, bool]:
    """What the server takes, and whether it tells its queue as vLLM does."""
    import httpx

    with httpx.Client(headers=site.headers, timeout=60) as client:
        try:
            described = _described(client.get(f"{site.root}/openapi.json"))
            metrics = client.get(f"{site.root}/metrics")
            queue = metrics.status_code == 200 and read_queue(metrics.text) is not None
            paths, fields = described or _tried(client, site, model)
            limit = "max_tokens"
            if "max_completion_tokens" in fields and "max_tokens" not in fields:
                limit = "max_completion_tokens"
            listed = cards(client.get(f"{site.base}/models").text)
        except (httpx.HTTPError, ValueError) as error:
            said = site.scrub(str(error))
            raise TaskError(
                f"{site.base} stopped answering while it was asked what it takes "
                f"({type(error).__name__}: {said}); see its log, then run the same command again"
            ) from None
    context = next((one.get("max_model_len") for one in listed if one.get("id") == model), None)
    return Offer(model, paths, fields, limit, context, card_of(listed, model)), queue


def _described(answer: Any) -> tuple[frozenset[str], frozenset[str]] | None:
    """Paths and request fields by the server's own OpenAPI description."""
    try:
        book = answer.json() if answer.status_code == 200 else {}
        paths = {PATHS[path] for path in book["paths"] if path in PATHS}
        fields: set[str] = set()
        for path in book["paths"]:
            if path in ("/v1/chat/completions", "/v1/completions"):
                content = book["paths"][path]["post"]["requestBody"]["content"]
                name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
                fields |= set(book["components"]["schemas"][name]["properties"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return (frozenset(paths), frozenset(fields)) if paths else None


def _tried(client: Any, site: Site, model: str) -> tuple[frozenset[str], frozenset[str]]:
    """The same by requests of a few tokens, for servers without a description."""
    paths: set[str] = set()
    fields: set[str] = set()

    def taken(path: str, **body: Any) -> Any:
        answer = client.post(site.address(path), json={"model": model, **body})
        if answer.status_code in (404, 405):
            return None
        return answer

    for limit in ("max_tokens", "max_completion_tokens"):
        answer = taken("chat/completions", messages=CHAT, **{limit: 16})
        if answer is not None:
            paths.add("chat/completions")
            if answer.status_code == 200:
                fields.add(limit)
                break
    if paths:
        chat = {"messages": CHAT, limit: 16}
        for names, more in (
            (("logprobs",), LOGPROBS),
            (tuple(SAMPLING), SAMPLING),
            (("response_format",), {"response_format": FORMAT}),
        ):
            answer = taken("chat/completions", **chat, **more)
            if answer is not None and answer.status_code == 200:
                fields.update(names)
        choice = {"structured_outputs": {"choice": ["gristmill"]}}
        answer = taken("chat/completions", **chat, **choice)
        if answer is not None and answer.status_code == 200 and _content(answer) == "gristmill":
            fields.add("structured_outputs")
    if taken("completions", prompt="Yes", max_tokens=1) is not None:
        paths.add("completions")
    for path in REWARD_PATHS:
        answer = taken(path, input="Yes")
        if answer is not None and answer.status_code == 200:
            paths.add(path)
    return frozenset(paths), frozenset(fields)


def _content(answer: Any) -> Any:
    try:
        return json.loads(answer.text)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        return None
