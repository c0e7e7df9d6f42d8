"""What a model writes behind prompts: batched, greedy or sampled, with a cache of keys and values.

In: prompts as token ids. Out: completions in the order of the prompts, `samples` of each.
Shown by: `use: evaluate, tasks: [{rows: {data: prompts/maths}}]`.
Limit: models whose cache is keys and values of every token.

Rows join and leave the batch one by one (synth.engines.transformers_batch), padded on the left. A
row's draws are its own, so its company and the size of the batch change nothing but float noise.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gristmill.rng import derive_seed
from synth.calls import Ready, Sampling
from synth.engines.rendering import Rendering
from synth.engines.transformers_batch import Batch, Writing


@dataclass(frozen=True, slots=True)
class Completion:
    """What was written behind one prompt."""

    text: str
    tokens: tuple[int, ...]
    finished: bool  # by itself; false: max_tokens cut it
    logprob: float


def generate(
    model: Any,
    rendering: Rendering,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    seed: int,
    samples: int = 1,
    batch_tokens: int = 8192,
    advance: Callable[[int], None] = lambda rows: None,
) -> list[list[Completion]]:
    """Completions of each prompt; seeds are derived from (seed, prompt's number, sample)."""
    order = sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index))
    waiting = deque(
        _row(index * samples + sample, prompts[index], sampling, derive_seed(seed, index, sample))
        for index in order
        for sample in range(samples)
    )
    done: dict[int, Completion] = {}
    batch = Batch(model, rendering, None)
    while waiting or batch.rows:
        ended = []
        if new := _admitted(waiting, batch.rows, batch_tokens):
            ended += batch.admit(new)
        if batch.rows:
            ended += batch.step()
        for row in ended:
            text = rendering.completion(row.made, row.reason, row.stop)
            made = tuple(row.made)
            done[row.ticket] = Completion(text, made, row.reason == "stop", row.logprob)
        advance(len(ended))
    return [
        [done[index * samples + sample] for sample in range(samples)]
        for index in range(len(prompts))
    ]


def _row(ticket: int, prompt: Sequence[int], sampling: Sampling, seed: int) -> Writing:
    ready = Ready(call=None, key=b"")  # type: ignore[arg-type]  # only answers of a service name it
    return Writing(ticket, ready, sampling, list(prompt), random.Random(seed))


def _admitted(
    waiting: deque[Writing], writing: Sequence[Writing], batch_tokens: int
) -> list[Writing]:
    """Rows to let in: as many as fit, but not one by one, since joining copies the cache of all."""
    if not waiting:
        return []
    longest = max(len(row.prompt) + row.sampling.max_tokens for row in (*writing, waiting[0]))
    rows = max(1, batch_tokens // longest)
    free = rows - len(writing)
    if writing and free < max(1, rows // 4):
        return []
    return [waiting.popleft() for _ in range(min(free, len(waiting)))]
