"""Calls: what a row's flow asks of a service, and what the service answers.

In: an op that needs a model, a sandbox or another process. Out: an Answer, or a typed Failure.
Shown by: `python -m pytest tests/synth/test_flow.py`. Limit: a call is small: texts and numbers.

An op never waits: it yields its calls and is resumed with their answers, in the same order. So
thousands of rows are under way at once in one loop, and a resumed run replays a flow from its
logged answers.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol

from gristmill.ids import canonical_json

Message = dict[str, str]  # {"role": …, "content": …}
KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Structure:
    """What a completion must match: a JSON Schema (canonical JSON), a regex, or one of choices."""

    kind: Literal["json", "regex", "choice"]
    value: str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """Resolved sampling parameters: all that change a completion; no engine default is left over.

    temperature 0 is greedy; top_k 0, top_p 1 and min_p 0 are off; logprobs: how many of the most
    probable tokens are told for each generated one (0: only the sum over the completion).
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    logprobs: int = 0
    structure: Structure | None = None

    def __hash__(self) -> int:  # equal settings are usually one object: ops resolve them once
        return hash((self.max_tokens, self.temperature, self.top_p, self.top_k, self.stop))


@dataclass(frozen=True, slots=True)
class Generate:
    """One completion of one prompt. Give `messages` (a chat), `text` (raw), or `tokens`."""

    engine: str  # a name of the step's `engines`
    sampling: Sampling
    seed: int  # 63 bits, derived from the row; ignored where temperature is 0
    messages: tuple[Message, ...] | None = None
    text: str | None = None  # completed as it is, without a chat template
    tokens: tuple[int, ...] | None = None
    template: str = ""  # digest of the prompt file, for provenance
    prefix: Literal["", "user"] = ""  # user: the chat template up to where a user's turn begins
    group: str = ""  # rows of one group share a long prefix: sent one after another


@dataclass(frozen=True, slots=True)
class ScoreTokens:
    """Log-probabilities that a model gives to a text, token by token, at temperature 1.

    `start`: the first token scored; with `text` and `prefix_text`, tokens of prefix_text + text
    are scored from where prefix_text ends. `top`: how many of the most probable tokens are told.
    """

    engine: str
    text: str | None = None
    prefix_text: str = ""
    tokens: tuple[int, ...] | None = None
    start: int = 1
    top: int = 0


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward model's scalar for a conversation, or for a text as it is."""

    engine: str
    messages: tuple[Message, ...] | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Execute:
    """A program to run in the sandbox (see synth.sandbox); the answer's `value` is its Outcome."""

    program: str
    stdin: str = ""
    files: Mapping[str, str] | None = None  # name -> content, beside the program


@dataclass(frozen=True, slots=True)
class Work:
    """A slow or stubborn function to run in another process: `module:function` and its arguments.

    It must be importable and return something picklable; past `seconds` it is killed.
    """

    function: str
    args: tuple[Any, ...] = ()
    seconds: float = 10.0


Call = Generate | ScoreTokens | Reward | Execute | Work
ModelCall = Generate | ScoreTokens | Reward


@dataclass(slots=True)
class Answer:
    """What a service found. Of a completion: text, tokens, why it ended, counts, log-probability.

    top_ids, top_logprobs: for each scored or generated token the most probable ones, best first.
    """

    text: str = ""
    token_ids: list[int] | None = None
    finish_reason: str = ""  # "stop" or "length"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    logprob: float | None = None  # sum over the completion, or over the scored tokens
    token_logprobs: list[float] | None = None  # of each generated (logprobs > 0) or scored token
    top_ids: list[list[int]] | None = None
    top_logprobs: list[list[float]] | None = None
    value: Any = None  # Reward: a float; Execute, Work: what came back
    # Set by the driver, of calls to models:
    key: bytes = b""
    model: Model | None = None
    cached: bool = False  # it was in the log


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer; `reason` is one of REASONS."""

    reason: str
    detail: str = ""
    key: bytes = b""


REASONS = {
    "truncated": "the completion met max_tokens before it ended",
    "refused": "the model declined",
    "unparsable": "the completion is not in the form asked for",
    "no_closing_tag": "a tag (or <think>) was opened and not closed",
    "empty": "the completion has no text",
    "too_long": "the prompt does not fit the model's context",
    "timeout": "no answer within the time allowed, after all retries",
    "server": "the server failed after all retries",
    "rejected": "the server or engine says that the request itself is wrong",
    "engine": "the engine died with this request alone in hand",
    "template": "the prompt could not be rendered for this row",
    "crashed": "the function or program died, or ran out of its limits",
    "missing": "a field that the recipe names is not in the row",
}


@dataclass(frozen=True, slots=True)
class Model:
    """Who answers: what enters request keys and provenance.

    revision: digest of the weights and config (local), or what the server or the user says.
    template: digest of the tokenizer and chat template; "" where the server keeps them.
    """

    name: str
    revision: str
    template: str = ""


@dataclass(slots=True)
class Ready:
    """A call with its key: rendered, tokenised, checked against the context. See Engine.prepare."""

    call: ModelCall
    key: bytes
    tokens: Sequence[int] | None = None
    text: str | None = None
    size: int = 0  # rough work: prompt tokens and max_tokens, for longest-first


class Service(Protocol):
    """Something that answers calls. One thread drives it; `poll` is where its work is done."""

    capacity: int  # calls that it wants under way; the driver keeps up to this many

    def submit(self, ticket: int, call: Any) -> None:
        """Take one call (of an engine: a Ready). Never blocks for long."""

    def poll(self, wait: float) -> list[tuple[int, Answer | Failure]]:
        """What has finished since, by ticket; waits up to `wait` seconds for the first."""

    def abort(self, tickets: Sequence[int]) -> None:
        """Forget calls; they will not be answered."""

    def close(self) -> None:
        """Free what it holds. It may be closed twice."""


class Engine(Service, Protocol):
    """A model behind one interface: vllm, openai, transformers, fake.

    Built cheaply; `model` and `prepare` need the tokenizer and no weights; `start` loads them. An
    engine that dies raises EngineDied from submit or poll; `start` may then be called anew.
    """

    @property
    def model(self) -> Model:
        """Who answers."""

    def prepare(self, calls: Sequence[ModelCall]) -> list[Ready | Failure]:
        """Render, tokenise and check a batch, and give every request its key."""

    def start(self) -> None:
        """Load the weights, or see that the server answers."""


class EngineDied(Exception):
    """The engine is gone with all that was under way; the driver starts it again and resubmits."""


def request_key(model: Model, call: ModelCall, prompt: Sequence[int] | str) -> bytes:
    """16 bytes that name a request: the model, its template, the rendered prompt, every parameter.

    prompt: token ids, or the canonical text where the server tokenises. max_tokens stays out: the
    log decides whether an answer made under another limit is the same (gristmill's rerun of
    truncated rows only). The seed counts only where sampling is random.
    """
    state = hashlib.sha256(_stem(model, _settings(call)))
    if isinstance(prompt, str):
        state.update(b"t" + prompt.encode("utf-8", "surrogatepass"))
    else:
        state.update(b"i" + array("i", prompt).tobytes())
    if isinstance(call, Generate) and call.sampling.temperature > 0:
        state.update(b"s%d" % call.seed)
    if isinstance(call, ScoreTokens):
        state.update(b"f%d" % call.start)
    return state.digest()[:KEY_BYTES]


def _settings(call: ModelCall) -> Any:
    if isinstance(call, Generate):
        return call.sampling
    return call.top if isinstance(call, ScoreTokens) else None


@lru_cache(maxsize=4096)
def _stem(model: Model, settings: Any) -> bytes:
    if isinstance(settings, Sampling):
        kind: Any = {k: v for k, v in asdict(settings).items() if k != "max_tokens"}
    else:
        kind = "reward" if settings is None else f"tokens top {settings}"
    return canonical_json(["request 1", asdict(model), kind]).encode()
