"""Sample: completions of each item's prompt; every one becomes an item.

In: items with a prompt. Out: `n` items for each, with the completion's text and provenance.
Shown by: `gristmill run pipelines/recipes/synth/rejection_maths.yaml`.
Limit: n samples are n requests with seeds of their own, so that a larger n reuses the smaller's.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field, model_validator

from gristmill.ids import canonical_json
from gristmill.rng import derive_seed
from synth.calls import Failure, Generate, Sampling, Structure
from synth.items import Item, Row, made_by
from synth.ops import Running, SynthOp, register_op
from synth.prompt import Rendered


@register_op("sample")
class Sample(SynthOp):
    """Ask one engine, or each of a committee, for n completions of each prompt."""

    n: int = Field(1, ge=1, le=4096)
    engine: str | tuple[str, ...] = "main"  # several: n completions of each
    max_tokens: int = Field(512, ge=1)
    temperature: float = Field(1.0, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)  # 0: off
    min_p: float = Field(0.0, ge=0, le=1)
    repetition_penalty: float = Field(1.0, gt=0, le=10)
    presence_penalty: float = Field(0.0, ge=-2, le=2)
    frequency_penalty: float = Field(0.0, ge=-2, le=2)
    stop: tuple[str, ...] = ()
    logprobs: int = Field(0, ge=0, le=1024)  # of the most probable tokens at each place
    json_schema: dict[str, Any] | None = Field(None, alias="json")
    regex: str | None = None
    choice: tuple[str, ...] | None = None
    truncated: Literal["fail", "keep"] = "fail"  # completions that met max_tokens
    into: str = "response"  # the field that takes the text
    stage: str = ""  # its name in seeds and provenance; default: `into`

    @model_validator(mode="after")
    def _one_structure(self) -> Sample:
        given = [k for k in ("json_schema", "regex", "choice") if getattr(self, k) is not None]
        if len(given) > 1:
            raise ValueError("sample takes one of json, regex, choice")
        if self.regex is not None:
            try:
                re.compile(self.regex)
            except re.error as error:
                raise ValueError(f"sample.regex is {self.regex!r}: {error}") from None
        if self.choice is not None and not self.choice:
            raise ValueError("sample.choice is empty; give the texts to choose from")
        return self

    def engines(self) -> list[str]:
        return [self.engine] if isinstance(self.engine, str) else list(self.engine)

    def fields(self) -> dict[str, pa.DataType]:
        return {self.into: pa.string(), "engine": pa.string(), "logprob": pa.float64()}

    @cached_property
    def sampling(self) -> Sampling:
        """The resolved parameters; one object, so that its part of request keys is made once."""
        structure = None
        if self.json_schema is not None:
            structure = Structure("json", canonical_json(self.json_schema))
        elif self.regex is not None:
            structure = Structure("regex", self.regex)
        elif self.choice is not None:
            structure = Structure("choice", self.choice)
        greedy = self.temperature == 0
        return Sampling(
            self.max_tokens,
            self.temperature,
            1.0 if greedy else self.top_p,
            0 if greedy else self.top_k,
            0.0 if greedy else self.min_p,
            self.repetition_penalty,
            self.presence_penalty,
            self.frequency_penalty,
            self.stop,
            self.logprobs,
            structure,
        )

    def run(self, items: list[Item], row: Row) -> Running:
        stage = self.stage or self.into
        places: list[tuple[Item, str, int]] = []
        calls: list[Any] = []
        for item in items:
            prompt = item.prompt
            if not isinstance(prompt, Rendered):
                row.fail(stage, "missing", "no prompt comes before this sample")
                continue
            for number, engine in enumerate(self.engines()):
                base = row.seed_for(stage, engine, *item.path)
                for k in range(self.n):
                    places.append((item, engine, number * self.n + k))
                    calls.append(
                        Generate(
                            engine,
                            self.sampling,
                            derive_seed(base, k),
                            messages=prompt.messages,
                            text=prompt.text,
                            template=prompt.template,
                            prefix=prompt.prefix,
                            group=prompt.group,
                        )
                    )
        answers = yield calls
        several = self.n > 1 or len(self.engines()) > 1
        kept = []
        for (item, engine, k), call, answer in zip(places, calls, answers, strict=True):
            if isinstance(answer, Failure):
                row.fail(stage, answer.reason, answer.detail)
                continue
            made = made_by(stage, call, answer)
            row.made.append((made, answer.text))
            if answer.finish_reason == "length" and self.truncated == "fail":
                row.fail(stage, "truncated", f"at {answer.completion_tokens} tokens")
                continue
            new = item.child(k if several else None, **{self.into: answer.text, "engine": engine})
            new.fields["logprob"] = new.logprob = answer.logprob
            new.answer = answer
            new.made = (*item.made, made)
            if call.messages is not None:
                role = "user" if call.prefix == "user" else "assistant"
                new.messages = (*call.messages, {"role": role, "content": answer.text})
            kept.append(new)
        return kept
