"""Tasks in which a model writes: prompts as token ids, how it samples, what its answers are worth.

In: texts. Out: completions and their scores. Shown by: `use: evaluate, tasks: [{rows:
prompts/maths}]`. Limit: one user's turn a prompt; programs are judged one after another.

A model with a chat template is asked as in a chat, another continues the text; `chat` decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from gristmill.errors import RecipeError
from synth.calls import Failure, Generate, Model, Sampling
from synth.verify import IN_SANDBOX, verifier
from train.evaluate.results import item_host
from train.evaluate.spec import TaskSpec

if TYPE_CHECKING:
    from train.evaluate.bench import Bench
    from train.evaluate.generate import Completion


class WritingTask(TaskSpec):
    """How a model is asked."""

    samples: int = Field(1, ge=1)  # of each prompt; above 1 they are drawn: temperature 1
    temperature: float | None = Field(None, ge=0)  # 0 is greedy: what one sample is by default
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(256, ge=1)
    stop: tuple[str, ...] = ()  # texts that end a completion and are no part of it
    chat: bool | None = None  # default: where the model has a chat template

    def sampling(self) -> Sampling:
        """As the engines take it."""
        given = self.temperature
        heat = (1.0 if self.samples > 1 else 0.0) if given is None else given
        return Sampling(self.max_tokens, heat, self.top_p, stop=self.stop)

    def check(self) -> None:
        if self.samples > 1 and self.temperature == 0:
            raise RecipeError(
                f"{self.title}: {self.samples} samples at temperature 0 are all alike; leave "
                "`temperature` out, or take one sample"
            )

    def write(self, bench: Bench, prompts: Sequence[str]) -> list[list[Completion] | None]:
        """Completions of each prompt; None for one that is too long for the model."""
        if self.max_tokens >= bench.longest:
            raise RecipeError(
                f"{self.title}: max_tokens is {self.max_tokens:,}, and model {bench.name!r} reads "
                f"{bench.longest:,} tokens, prompt and completion together; give fewer"
            )
        ids = encode(bench, prompts, self.sampling(), self.chat)
        fit = [index for index, one in enumerate(ids) if one is not None]
        written = bench.write(
            [ids[index] or () for index in fit], self.sampling(), self.title, self.samples
        )
        found: list[list[Completion] | None] = [None] * len(prompts)
        for index, completions in zip(fit, written, strict=True):
            found[index] = completions
        return found


def encode(
    bench: Bench, prompts: Sequence[str], sampling: Sampling, chat: bool | None
) -> list[list[int] | None]:
    """Token ids of prompts; None where they and `max_tokens` do not fit the model."""
    asked = bool(bench.rendering.tokenizer.chat_template) if chat is None else chat
    calls = [
        Generate("", sampling, 0, messages=({"role": "user", "content": prompt},))
        if asked
        else Generate("", sampling, 0, text=prompt)
        for prompt in prompts
    ]
    found: list[list[int] | None] = []
    for ready in bench.rendering.prepare(Model(bench.name, ""), calls):
        if isinstance(ready, Failure) and ready.reason != "too_long":
            raise RecipeError(f"a prompt for model {bench.name!r}: {ready.detail}")
        found.append(None if isinstance(ready, Failure) else list(ready.tokens or ()))
    return found


def judged(name: str, completion: str, answer: str, prompt: str) -> float:
    """What a verifier gives a completion, from 0 to 1."""
    if name != IN_SANDBOX:
        return float(verifier(name)(completion, answer, prompt))
    from synth.sandbox.examine import examination, verdict
    from synth.sandbox.run import run
    from synth.verify.code import program

    call = examination(program(completion), answer)
    return float(verdict(run(call.program, stdin=call.stdin, files=call.files)).whole)


def prompt_rows(
    bench: Bench, ref: str, where: str | None, limit: int | None
) -> list[dict[str, Any]]:
    """Rows of a dataset with a column `prompt`, the first `limit` of those that `where` keeps."""
    dataset = bench.dataset(ref).must_have_rows()
    if "prompt" not in dataset.schema.names:
        raise RecipeError(
            f"{dataset.ref} has the columns {', '.join(dataset.schema.names)}: a task that asks "
            "needs rows with `prompt` (kind prompt)"
        )
    text = f"select {', '.join(['*', *item_host(dataset)])} from this"
    text += f" where {where}" if where else ""
    table = dataset.sql(text).to_arrow_table()
    rows: list[dict[str, Any]] = table.slice(0, limit).to_pylist()
    if not rows:
        raise RecipeError(f"{dataset.ref}: no row is left to ask; `where` is {where!r}")
    return rows
