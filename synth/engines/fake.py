"""The fake engine: text that is a function of the request key, for tests of everything around it.

In: `engines: {main: {fake: {words: 20, seconds_per_word: 0.01}}}`. Out: words, or what it is told.
Shown by: `python -m pytest tests/synth/test_driver.py`.
Limit: a token is a word; log-probabilities mean nothing.
"""

from __future__ import annotations

import hashlib
import heapq
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from gristmill.rng import derive_seed
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
from synth.engines.spec import EngineSpec

WORDS = (
    "the mill grinds corn slowly and finely while water turns a wheel of oak beside old stones "
    "grey rain fills every ditch until morning light returns to wide fields"
).split()


class FakeSpec(EngineSpec):
    """What a fake engine answers, how long it takes, and when it fails."""

    NAME: ClassVar[str] = "fake"
    PLACE: ClassVar[frozenset[str]] = frozenset(
        {"capacity", "seconds_per_word", "record", "dies_at", "dies_on"}
    )

    model: str = "fake"
    revision: str = "1"
    words: int = Field(default=20, ge=1)  # mean length of a completion
    echo: bool = False  # the last message instead of words
    script: dict[str, str] = Field(
        {}
    )  # a part of the prompt -> the completion; the first that is in it
    fail: dict[str, float] = Field(default={})  # reason -> share of requests that fail with it
    context: int | None = None  # prompts of more words are too long
    price: dict[str, float] = Field(default={})  # a million tokens: {input: 0.5, output: 1.5}
    capacity: int = Field(default=64, ge=1)
    seconds_per_word: float = Field(default=0.0, ge=0)
    record: str | None = None  # a file that takes a line for each request made: its key
    dies_at: tuple[int, ...] = ()  # the engine dies when it is given its n-th request
    dies_on: str | None = None  # … or one whose prompt has this text

    def open(self) -> FakeEngine:
        return FakeEngine(self)


class FakeEngine:
    """Answers in the order in which requests would be done at so many seconds a word."""

    def __init__(self, spec: FakeSpec, clock: Callable[[], float] = time.monotonic) -> None:
        self.model = Model(spec.model, spec.revision, "fake")
        self.capacity = spec.capacity
        self.starts = 0
        self._spec = spec
        self._clock = clock
        self._given = 0
        self._due: list[tuple[float, int, Ready]] = []
        self._alive = False

    def prepare(self, calls: Sequence[ModelCall]) -> list[Ready | Failure]:
        found: list[Ready | Failure] = []
        for call in calls:
            text = prompt_of(call)
            words = len(text.split())
            if self._spec.context is not None and words > self._spec.context:
                found.append(Failure("too_long", f"{words} of {self._spec.context} tokens"))
                continue
            key = request_key(self.model, call, text)
            most = call.sampling.max_tokens if isinstance(call, Generate) else 0
            found.append(Ready(call, key, text=text, size=words + most))
        return found

    def start(self) -> None:
        self.starts += 1
        self._alive = True

    def submit(self, ticket: int, call: Any) -> None:
        ready: Ready = call
        if not self._alive:
            raise EngineDied("the fake engine was not started")
        self._given += 1
        spec = self._spec
        if spec.record is not None:
            with open(spec.record, "a") as file:
                file.write(f"{ready.key.hex()}\n")
        dies = spec.dies_on is not None and spec.dies_on in (ready.text or "")
        seconds = 0.0
        if spec.seconds_per_word:
            answer = self._answer(ready)
            made = answer.completion_tokens if isinstance(answer, Answer) else 1
            seconds = spec.seconds_per_word * made
        heapq.heappush(self._due, (self._clock() + seconds, ticket, ready))
        if dies or self._given in spec.dies_at:
            self._alive = False
            self._due = []
            raise EngineDied(f"the fake engine died at request {self._given}")

    def poll(self, wait: float) -> list[tuple[int, Answer | Failure]]:
        if self._due and self._spec.seconds_per_word:
            time.sleep(min(max(0.0, self._due[0][0] - self._clock()), wait))
        now = self._clock()
        done = []
        while self._due and self._due[0][0] <= now:
            _, ticket, ready = heapq.heappop(self._due)
            done.append((ticket, self._answer(ready)))
        return done

    def abort(self, tickets: Sequence[int]) -> None:
        gone = set(tickets)
        self._due = [entry for entry in self._due if entry[1] not in gone]
        heapq.heapify(self._due)

    def close(self) -> None:
        self._alive = False
        self._due = []

    def _answer(self, ready: Ready) -> Answer | Failure:
        draw = int.from_bytes(ready.key[:8], "little")
        chance = derive_seed(draw, "fail") / (1 << 63)
        for reason, share in self._spec.fail.items():
            if chance < share:
                return Failure(reason, "as told")
            chance -= share
        call, text = ready.call, ready.text or ""
        if isinstance(call, Reward):
            return Answer(value=float(draw % 1000) / 100, prompt_tokens=len(text.split()))
        if isinstance(call, ScoreTokens):
            return _scored(call, text, draw)
        words = self._completion(text, draw)
        most = call.sampling.max_tokens
        kept = words[:most]
        return Answer(
            " ".join(kept),
            [len(word) for word in kept],
            "length" if len(words) > most else "stop",
            len(text.split()),
            len(kept),
            -float(draw % 97) / 7,
        )

    def _completion(self, text: str, draw: int) -> list[str]:
        for part, reply in self._spec.script.items():
            if part in text:
                return reply.split(" ")
        if self._spec.echo:
            return text.rpartition("\n")[2].split(" ")
        count = 1 + derive_seed(draw, "length") % (2 * self._spec.words - 1)
        noise = hashlib.shake_128(draw.to_bytes(8, "little")).digest(count)
        return [WORDS[byte % len(WORDS)] for byte in noise]


def prompt_of(call: ModelCall) -> str:
    """The text that stands for a call's prompt; the last message is its last line."""
    if isinstance(call, ScoreTokens):
        return call.prefix_text + (call.text or " ".join(map(str, call.tokens or ())))
    if call.messages is not None:
        turns = [f"{turn['role']}: {turn['content']}" for turn in call.messages[:-1]]
        last = call.messages[-1]["content"] if call.messages else ""
        prefix = call.prefix if isinstance(call, Generate) else ""
        return "\n".join([*turns, prefix, last])
    return call.text or (
        " ".join(map(str, call.tokens or ())) if isinstance(call, Generate) else ""
    )


def _scored(call: ScoreTokens, text: str, draw: int) -> Answer:
    ids = [len(word) for word in text.split()]
    scored = [-((draw >> (n % 50)) % 64) / 16 for n in range(max(0, len(ids) - call.start))]
    return Answer(
        token_ids=ids,
        prompt_tokens=len(ids),
        logprob=sum(scored),
        token_logprobs=scored,
        top_ids=[[n, n + 1][: call.top] for n in ids[call.start :]] if call.top else None,
        top_logprobs=[[s, s - 1.0][: call.top] for s in scored] if call.top else None,
    )


def requests_made(record: str | Path) -> list[str]:
    """Keys of the requests made, from a `record` file, in order; a half line is left out."""
    text = Path(record).read_text() if Path(record).exists() else ""
    return [line for line in text.split("\n")[:-1] if len(line) == 32]
