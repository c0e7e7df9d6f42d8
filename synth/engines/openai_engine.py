"""The client of one server, as the driver sees it: an Engine.

In: a spec, calls. Out: keys over what is sent, answers, typed failures.
Shown by: `python -m pytest tests/synth/engines/test_openai_vllm.py`.
Limit: without a local tokenizer only the server knows the tokens, so its keys are over texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from gristmill.digests import content_digests
from gristmill.errors import RecipeError, TaskError
from gristmill.ids import canonical_json, digest
from gristmill.redact import redact
from synth.calls import (
    Answer,
    EngineDied,
    Failure,
    Generate,
    Model,
    ModelCall,
    Ready,
    Reward,
    ScoreTokens,
    request_key,
)
from synth.engines.openai import OpenAISpec
from synth.engines.openai_http import Wire
from synth.engines.openai_limits import FIRST_WINDOW, Rate, Window
from synth.engines.openai_loop import Loop
from synth.engines.openai_probe import Site, identify, offer_of
from synth.engines.openai_requests import Offer, check_offer, unsupported
from synth.engines.rendering import Rendering, load_rendering
from synth.engines.weights import deciding_files

UNKNOWN_CONTEXT = 1 << 30  # the server itself refuses what is too long
CHARACTERS_PER_TOKEN = 4  # where nobody here can count tokens


class OpenAIEngine:
    """One server. `model` asks it who it is, `prepare` what it takes, `start` opens the client."""

    def __init__(self, spec: OpenAISpec) -> None:
        self._spec = spec
        headers = spec.secrets()
        secrets = sorted(headers.values(), key=len, reverse=True)
        self._site = Site(spec.url, headers, scrubber(secrets), spec.api_key_env)
        self._model: Model | None = None
        self._loop: Loop | None = None
        self._under_way: set[int] = set()
        self.capacity = FIRST_WINDOW

    @property
    def model(self) -> Model:
        """Who answers, by /models and the recipe's revision. Asks the server once."""
        found = self._model
        if found is None:
            spec = self._spec
            template = tokenizer_digest(Path(spec.tokenizer)) if spec.tokenizer else ""
            found = identify(self._site, spec.model, spec.revision, spec.extra_body, template)
            self._model = found
        return found

    @model.setter
    def model(self, found: Model) -> None:
        self._model = found

    def prepare(self, calls: Sequence[ModelCall]) -> list[Ready | Failure]:
        """Keys and prompts. RecipeError for a kind of call that this server never answers."""
        offer, rendering = self._offered[0], self._rendering
        for call in calls:
            check_offer(call, offer, self._spec.url, rendering is not None)
        if rendering is None:
            found: list[Ready | Failure] = [self._as_text(call) for call in calls]
        else:
            found = rendering.prepare(self.model, calls)
        return [self._checked(one, offer) for one in found]

    def start(self) -> None:
        """Open the client. After EngineDied: only where the same model answers again."""
        if self._loop is not None and self._loop.outbox.error is None:
            return
        known, again = self.model, self._loop is not None
        self.close()
        if again:
            self._model = None
            self.__dict__.pop("_offered", None)
            if self.model != known:
                raise TaskError(
                    f"{self._spec.url} serves another model than this run began with "
                    f"({self.model.revision}, before {known.revision}); start that one again, or "
                    "begin a new run"
                )
        spec, (offer, sees_queue) = self._spec, self._offered
        self._loop = Loop(
            Wire(self._site, offer, spec.extra_body, spec.timeout_s),
            Window(spec.in_flight, sees_queue),
            (Rate(spec.requests_per_minute), Rate(spec.tokens_per_minute)),
            spec.retries,
            spec.patience_s,
        )
        self.capacity = self._loop.capacity()

    def submit(self, ticket: int, call: Any) -> None:
        """Take a Ready; it is sent as soon as the limits allow."""
        if self._loop is None:
            raise EngineDied("the client of the server was not started")
        self._loop.outbox.refuse()
        self._under_way.add(ticket)
        self._loop.submit(ticket, call)

    def poll(self, wait: float) -> list[tuple[int, Answer | Failure]]:
        """Finished calls. Raises EngineDied where the server stays away, TaskError for good."""
        if self._loop is None:
            return []
        found = self._loop.outbox.take(wait)
        self.capacity = self._loop.capacity()
        mine = [one for one in found if one[0] in self._under_way]  # an aborted one may be late
        self._under_way.difference_update(ticket for ticket, _ in mine)
        return mine

    def abort(self, tickets: Sequence[int]) -> None:
        """Forget calls: their connections are closed, which ends them at the server."""
        self._under_way.difference_update(tickets)
        if self._loop is not None:
            self._loop.abort(tickets)

    def close(self) -> None:
        """End the client's thread and its connections."""
        self._under_way.clear()
        if self._loop is not None:
            self._loop.close()
            self._loop = None

    @cached_property
    def _offered(self) -> tuple[Offer, bool]:
        return offer_of(self._site, self.model.name)

    @cached_property
    def _rendering(self) -> Rendering | None:
        if self._spec.tokenizer is None:
            return None
        context = self._offered[0].context or UNKNOWN_CONTEXT
        options = self._spec.extra_body.get("chat_template_kwargs")
        return load_rendering(Path(self._spec.tokenizer), self._spec.model, context, options)

    def _as_text(self, call: ModelCall) -> Ready:
        """A request whose tokens only the server knows: the key is over its canonical text."""
        if isinstance(call, Generate) and call.prefix:
            raise RecipeError(
                "`prefix: user` needs the chat template itself; give engine openai the local "
                "`tokenizer` folder of the served model"
            )
        if not isinstance(call, Reward) and call.tokens is not None:
            key = request_key(self.model, call, call.tokens)
            return Ready(call, key, call.tokens, None, len(call.tokens))
        messages = None if isinstance(call, ScoreTokens) else call.messages
        text = None if messages is not None else call.text or ""
        told: list[Any] = ["text", text] if messages is None else ["chat", list(messages)]
        if isinstance(call, ScoreTokens):
            text = call.prefix_text + (call.text or "")
            told = ["score", call.prefix_text, call.text]
        key = request_key(self.model, call, canonical_json(told))
        size = sum(len(m["content"]) for m in messages or ()) + len(text or "")
        return Ready(call, key, None, text, size // CHARACTERS_PER_TOKEN)

    def _checked(self, one: Ready | Failure, offer: Offer) -> Ready | Failure:
        if isinstance(one, Failure) or not isinstance(one.call, Generate):
            return one
        if missing := unsupported(one.call.sampling, offer):
            return Failure("rejected", missing, one.key)
        if self._spec.tokenizer is None:
            one.size += one.call.sampling.max_tokens
        return one


def scrubber(secrets: Sequence[str]) -> Callable[[str], str]:
    """What takes these values, and whatever looks like a secret, out of a text."""

    def scrub(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "***").replace(secret.removeprefix("Bearer "), "***")
        return redact(text)

    return scrub


def tokenizer_digest(folder: Path) -> str:
    """32 hex digits of the tokenizer's files, as synth.engines.weights gives a local model's."""
    files = deciding_files(folder)[1]
    names = [file.name for file in files]
    return digest(dict(zip(names, content_digests(files, None), strict=True)))[:32]
