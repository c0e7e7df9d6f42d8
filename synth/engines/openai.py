"""Any server with OpenAI's API as an engine: `vllm serve`, SGLang, llama.cpp, a provider.

In: `openai: {url: …, model: …}` and calls. Out: answers, typed failures, keys over what is sent.
Shown by: `python -m pytest tests/synth/engines/test_openai_vllm.py`.
Limit: whether a server honours seeds is its own affair; `vllm serve` does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gristmill.errors import RecipeError, TaskError
from gristmill.ids import canonical_json
from gristmill.redact import redact
from synth.calls import (
    Answer,
    Engine,
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
from synth.engines.openai_http import Wire
from synth.engines.openai_limits import FIRST_WINDOW, Rate, Window
from synth.engines.openai_loop import Loop
from synth.engines.openai_probe import Site, identify, offer_of
from synth.engines.openai_requests import Offer, check_offer, unsupported
from synth.engines.openai_tokens import LocalTokenizer, tokenizer_digest
from synth.engines.spec import EngineSpec

VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")  # capitals: a key that was pasted here is not one
CHARACTERS_PER_TOKEN = 4  # where nobody here can count tokens


class Price(BaseModel):
    """What a million tokens cost, in any currency; for budgets."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """The cost of so many tokens."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


class OpenAISpec(EngineSpec):
    """A server, by the address under which /models and /chat/completions lie."""

    NAME: ClassVar[str] = "openai"
    PLACE: ClassVar[frozenset[str]] = frozenset(
        "url api_key_env headers_env in_flight requests_per_minute tokens_per_minute timeout_s "
        "retries patience_s price".split()
    )

    url: str
    model: str  # as /models lists it
    revision: str | None = None  # of the weights, where the server cannot tell
    api_key_env: str | None = None  # name of the environment variable that holds the key
    headers_env: dict[str, str] = {}  # further headers -> names of variables that hold the values
    tokenizer: str | None = None  # local folder: prompts are sent as token ids
    in_flight: int | None = Field(None, ge=1, le=65_536)  # ceiling; below it the client steers
    requests_per_minute: float | None = Field(None, gt=0)
    tokens_per_minute: float | None = Field(None, gt=0)
    timeout_s: float = Field(600.0, gt=0)  # of one attempt
    retries: int = Field(6, ge=0, le=100)
    patience_s: float = Field(300.0, ge=0)  # for a server that went away, or asks to wait
    price: Price | None = None
    extra_body: dict[str, Any] = {}  # into every request, e.g. chat_template_kwargs

    @field_validator("url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.username or parts.password:
            raise ValueError("url holds a user or a password; name a variable in headers_env")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError(f"url is {redact(url)!r}; write e.g. http://localhost:8000/v1")
        return url.rstrip("/") if parts.path.strip("/") else f"{url.rstrip('/')}/v1"

    @field_validator("api_key_env", "headers_env")
    @classmethod
    def _names_only(cls, given: Any) -> Any:
        names = given.values() if isinstance(given, dict) else [given] if given else []
        if not all(VARIABLE.fullmatch(name) for name in names):
            raise ValueError(
                "api_key_env and headers_env take names of environment variables, in capitals "
                "(e.g. OPENAI_API_KEY), never the secret itself; what was written is not shown"
            )
        return given

    def files(self) -> list[str]:
        return [f"{self.tokenizer}/*"] if self.tokenizer else []

    def check(self) -> None:
        self.secrets()
        if self.tokenizer is not None and not Path(self.tokenizer).is_dir():
            raise RecipeError(
                f"tokenizer is {self.tokenizer!r}, which is no folder; give the one that the "
                "server serves, or leave it out"
            )
        try:
            import httpx  # noqa: F401
        except ImportError:
            raise RecipeError(
                "engine openai needs httpx; install it with `pip install 'gristmill[synth]'`"
            ) from None

    def secrets(self) -> dict[str, str]:
        """Header -> value, from the environment. RecipeError where a variable is not set."""
        wanted = dict(self.headers_env)
        if self.api_key_env:
            wanted["Authorization"] = self.api_key_env
        found = {}
        for header, name in wanted.items():
            value = os.environ.get(name, "")
            if not value:
                raise RecipeError(f"environment variable {name} is not set; `export {name}=…`")
            bearer = header == "Authorization" and name == self.api_key_env
            found[header] = f"Bearer {value}" if bearer else value
        return found

    def open(self) -> Engine:
        self.check()
        return OpenAIEngine(self)


class OpenAIEngine:
    """One server. `model` asks it who it is, `prepare` what it takes, `start` opens the client."""

    def __init__(self, spec: OpenAISpec) -> None:
        self._spec = spec
        headers = spec.secrets()
        secrets = sorted(headers.values(), key=len, reverse=True)
        self._site = Site(spec.url, headers, scrubber(secrets), spec.api_key_env)
        self._loop: Loop | None = None
        self._under_way: set[int] = set()
        self.capacity = FIRST_WINDOW

    @cached_property
    def model(self) -> Model:
        """Who answers, by /models and the recipe's revision. Asks the server."""
        folder = self._spec.tokenizer
        template = tokenizer_digest(folder) if folder else ""
        extra = self._spec.extra_body
        return identify(self._site, self._spec.model, self._spec.revision, extra, template)

    @cached_property
    def _offered(self) -> tuple[Offer, bool]:
        return offer_of(self._site, self.model.name)

    @cached_property
    def _tokenizer(self) -> LocalTokenizer | None:
        return LocalTokenizer(self._spec.tokenizer) if self._spec.tokenizer else None

    def prepare(self, calls: Sequence[ModelCall]) -> list[Ready | Failure]:
        """Keys and prompts. RecipeError for a kind of call that this server never answers."""
        offer, local = self._offered[0], self._tokenizer
        for call in calls:
            check_offer(call, offer, self._spec.url, local is not None)
        if local is None:
            found = [self._plain(call) for call in calls]
        else:
            found = local.prepare(calls, self._spec.extra_body.get("chat_template_kwargs", {}))
        return [self._keyed(call, one, offer) for call, one in zip(calls, found, strict=True)]
