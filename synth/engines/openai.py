"""Any server with OpenAI's API as an engine: `vllm serve`, SGLang, llama.cpp, a provider.

In: `openai: {url: …, model: …}`. Out: a checked spec that opens a client; secrets stay outside.
Shown by: `python -m pytest tests/synth/engines/test_openai_spec.py`.
Limit: whether a server honours seeds is its own affair; `vllm serve` does.
"""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from gristmill.errors import RecipeError
from gristmill.redact import redact
from synth.calls import Engine
from synth.engines.spec import EngineSpec
from synth.engines.weights import deciding_files

VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")  # capitals: a key that was pasted here is not one
RESERVED = frozenset(  # in request keys, or what an answer's form depends on
    "model messages prompt input n stream seed stop max_tokens max_completion_tokens temperature "
    "top_p top_k min_p repetition_penalty presence_penalty frequency_penalty logprobs "
    "top_logprobs prompt_logprobs echo response_format structured_outputs".split()
)


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
    headers_env: dict[str, str] = Field(default_factory=dict)  # header -> name of its variable
    tokenizer: str | None = None  # local folder: prompts are sent as token ids
    in_flight: int | None = Field(None, ge=1, le=65_536)  # ceiling; below it the client steers
    requests_per_minute: float | None = Field(None, gt=0)
    tokens_per_minute: float | None = Field(None, gt=0)
    timeout_s: float = Field(600.0, gt=0)  # of one attempt
    retries: int = Field(6, ge=0, le=100)
    patience_s: float = Field(300.0, ge=0)  # for a server that went away, or asks to wait
    price: dict[Literal["input", "output"], float] | None = None  # of a million tokens
    extra_body: dict[str, Any] = Field(default_factory=dict)  # into every request

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

    @field_validator("price")
    @classmethod
    def _whole_price(cls, price: dict[str, float] | None) -> dict[str, float] | None:
        if price is not None and (len(price) < 2 or min(price.values()) < 0):
            raise ValueError(
                f"price is {price}; it takes both, of a million tokens: {{input: 0.2, output: 0.6}}"
            )
        return price

    @field_validator("extra_body")
    @classmethod
    def _nothing_of_ours(cls, given: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(RESERVED & set(given)):
            raise ValueError(
                f"extra_body has {', '.join(taken)}, which the client sets itself from `sample`; "
                "leave it out there"
            )
        return given

    def files(self) -> list[str]:
        if self.tokenizer is None or not Path(self.tokenizer).is_dir():
            return []
        return [file.path for file in deciding_files(Path(self.tokenizer))[1]]

    def check(self) -> None:
        self.secrets()
        if self.tokenizer is not None and not Path(self.tokenizer).is_dir():
            raise RecipeError(
                f"tokenizer is {self.tokenizer!r}, which is no folder; give the one that the "
                "server serves, or leave it out"
            )
        if find_spec("httpx") is None:
            raise RecipeError(
                "engine openai needs httpx; install it with `pip install 'gristmill[synth]'`"
            )

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
        from synth.engines.openai_engine import OpenAIEngine

        self.check()
        return OpenAIEngine(self)
