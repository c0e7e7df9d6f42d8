"""Rows and items: a source row under way, and the candidates that grow from it.

In: one source row. Out: items that reached the end, and what was lost on the way and why.
Shown by: `python -m pytest tests/synth/test_flow.py`. Limit: a row's items live in memory until
the row is done.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from gristmill.ids import canonical_json
from gristmill.rng import derive_seed
from synth.calls import Answer, Generate, Message, Sampling


@dataclass(frozen=True, slots=True)
class Made:
    """Provenance of one completion that an item came from."""

    stage: str
    engine: str
    model: str
    revision: str
    template: str  # digest of the prompt file; "" for an inline or raw prompt
    key: str  # hex of the request key
    params: str  # canonical JSON of the resolved sampling parameters
    seed: int
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


def made_of(
    stage: str, engine: str, answer: Answer, params: str, seed: int = 0, template: str = ""
) -> Made:
    """The provenance of an answer of a model; its text is not part of it."""
    model = answer.model
    return Made(
        stage=stage,
        engine=engine,
        model=model.name if model else "",
        revision=model.revision if model else "",
        template=template,
        key=answer.key.hex(),
        params=params,
        seed=seed,
        finish_reason=answer.finish_reason,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
    )


def made_by(stage: str, call: Generate, answer: Answer) -> Made:
    """The provenance of a completion; a greedy one has no seed."""
    seed = 0 if call.sampling.temperature == 0 else call.seed
    return made_of(stage, call.engine, answer, params_of(call.sampling), seed, call.template)


@lru_cache(maxsize=256)
def params_of(sampling: Sampling) -> str:
    """Canonical JSON of resolved parameters."""
    found = {name: getattr(sampling, name) for name in Sampling.__slots__ if name != "structure"}
    if (structure := sampling.structure) is not None:
        value = structure.value
        found[structure.kind] = json.loads(value) if structure.kind == "json" else value  # type: ignore[arg-type]
    return canonical_json(found)


@dataclass(slots=True)
class Item:
    """One candidate: named values, the conversation so far, and where it came from."""

    fields: dict[str, Any]
    messages: tuple[Message, ...] = ()
    path: tuple[int, ...] = ()  # which sample or part it is, level by level
    made: tuple[Made, ...] = ()
    logprob: float | None = None  # of the last completion
    template: str = ""  # digest of the last prompt
    prompt: Any = None  # what the next sample completes: a synth.prompt.Rendered
    answer: Any = None  # the last completion as the engine gave it: a synth.calls.Answer

    def child(self, index: int | None = None, **values: Any) -> Item:
        """A copy with further fields; `index` tells it from its siblings."""
        path = self.path if index is None else (*self.path, index)
        return Item(
            {**self.fields, **values},
            self.messages,
            path,
            self.made,
            self.logprob,
            self.template,
            self.prompt,
            self.answer,
        )


@dataclass(frozen=True, slots=True)
class Lost:
    """A candidate that went no further: failed (typed) or filtered (a rule, value, threshold)."""

    stage: str
    reason: str  # of synth.calls.REASONS where it failed, else the rule: "length.min_tokens"
    failed: bool
    detail: str = ""
    value: float | None = None
    threshold: float | None = None


@dataclass(slots=True)
class Row:
    """One source row under way."""

    id: str
    number: int  # its place in the source
    source: dict[str, Any]
    seed: int  # the recipe's
    lost: list[Lost] = field(default_factory=list)
    made: list[tuple[Made, str]] = field(default_factory=list)  # every completion and its raw text
    turn: tuple[int, ...] = ()  # rounds of the loops that the flow is in
    parents: tuple[str, ...] = ()  # ids that rows written from it name; default: its own

    def fail(self, stage: str, reason: str, detail: str = "") -> None:
        """Note that a candidate failed."""
        self.lost.append(Lost(stage, reason, True, well_formed(detail[:300])))

    def filter(
        self, stage: str, rule: str, value: float | None = None, threshold: float | None = None
    ) -> None:
        """Note that a candidate did not pass a rule."""
        self.lost.append(Lost(stage, rule, False, "", value, threshold))

    def seed_for(self, *names: str | int) -> int:
        """A 63-bit seed for one draw of this row."""
        return derive_seed(self.seed, self.id, *names, *self.turn)


def item_id(row: Row, item: Item, name: str) -> str:
    """32 hex digits of the parent, the requests, and which part of them this is; no position."""
    born = "\n".join([name, row.id, *(made.key for made in item.made), *map(str, item.path)])
    return hashlib.sha256(born.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def well_formed(text: str) -> str:
    """The text without halves of surrogate pairs, which no file can hold; `?` stands for each."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
