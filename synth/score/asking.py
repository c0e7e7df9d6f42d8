"""What scorers that ask a model share: the prompt, the sampling, and reading a completion.

In: fields that a prompt file reads. Out: calls; of an answer its text, or a typed failure.
Shown by: `python -m pytest tests/synth/score/test_score_judge.py`.
Limit: refusals are known by English phrases.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import Field

from synth.calls import Answer, Failure, Generate, Sampling, Structure
from synth.items import Row, made_by
from synth.ops import SynthOp
from synth.parse.cleaning import CLOSE, OPEN, is_refusal, without_thoughts
from synth.prompt import load_prompt, prompt_path


class Asking(SynthOp):
    """Fields of a scorer that asks a model by a prompt file."""

    prompt: str  # a name in synth/prompts/, or a path
    max_tokens: int = Field(512, ge=1)
    temperature: float = Field(0.0, ge=0, le=10)
    top_p: float = Field(1.0, gt=0, le=1)

    def files(self) -> list[str]:
        return [str(prompt_path(self.prompt))]

    def check(self) -> None:
        load_prompt(self.prompt)

    def structure(self) -> Structure | None:
        """What a completion must match."""
        return None

    @cached_property
    def sampling(self) -> Sampling:
        """The resolved parameters: one object for all calls."""
        top_p = 1.0 if self.temperature == 0 else self.top_p
        return Sampling(self.max_tokens, self.temperature, top_p, structure=self.structure())

    def call(self, engine: str, fields: Mapping[str, Any], seed: int) -> Generate:
        """One completion of the prompt; RenderError where a field is missing."""
        file = load_prompt(self.prompt)
        return Generate(
            engine, self.sampling, seed, messages=file.render(fields), template=file.digest
        )


def said(row: Row, stage: str, call: Generate, answer: Answer | Failure) -> str | Failure:
    """The text of a completion without thoughts, or why there is none; notes its provenance."""
    if isinstance(answer, Failure):
        return answer
    row.made.append((made_by(stage, call, answer), answer.text))
    if answer.finish_reason == "length":
        return Failure("truncated", f"at {answer.completion_tokens} tokens")
    text = answer.text
    if OPEN in text or CLOSE in text:
        parted = without_thoughts(text)
        if parted is None:
            return Failure("no_closing_tag", f"{OPEN} without {CLOSE}")
        text = parted[0]
    return text.strip() or Failure("empty")


def unread(text: str, wanted: str) -> Failure:
    """The failure of a completion that does not hold what was asked for."""
    return Failure("refused" if is_refusal(text) else "unparsable", f"no {wanted} in {text!r:.120}")
