"""Depo: reasoning depth. A directed cycle as shuffled edges; who comes k steps after a vertex?

In: parameters and a row number. Out: a Sample; the loss is taken on the answers only.
Shown by: `python -m synth.procedural depo`. Limit: the plain text is our own spelling; the
paper trains on bare tokens, which `tokens: true` gives in meta.

Source: Physics of Language Models 4.1 (arXiv 2512.17351): n in [3, N] with probability
proportional to 1/sqrt(N + n), min(10, n) queries, k in [1, K]. Depo1: N 225, 300 or 375, K 8,
names of 1-2 tokens out of 50. Depo2: N 75, 100 or 125, K 16, names of 5-7 tokens out of 4.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from gristmill.errors import RecipeError
from synth.procedural.sample import (
    Draws,
    Parameters,
    Sample,
    Sizes,
    Span,
    first_line,
    spelled,
    words,
)

# variant: (N, K, tokens that names are made of, least and most of them in a name)
PUBLISHED = {1: (300, 8, 50, 1, 2), 2: (100, 16, 4, 5, 7)}
BOS, EOS, ANSWER = 0, 1, 2  # of the bare tokens; then a token for each k; then names (ours)
_QUERY = re.compile(r"\? (\d{1,6}) (\w+) =\s*\Z")


class Depo(Parameters):
    """`depo: {variant: 2, nodes: 75}`."""

    TASK: ClassVar[str] = "depo"
    variant: Literal[1, 2] = 1
    nodes: int | None = Field(default=None, ge=3)  # N; 300 in Depo1, 100 in Depo2
    hops: int | None = Field(default=None, ge=1)  # K; 8 in Depo1, 16 in Depo2
    queries: int = Field(default=10, ge=1)
    sizes: Sizes = "paper"  # how n is drawn: 1/sqrt(N + n), or 1/(sqrt(N) + n)
    tokens: bool = False  # bare tokens into meta

    @model_validator(mode="after")
    def _room(self) -> Depo:
        _, _, alphabet, least, most = PUBLISHED[self.variant]
        room = sum(alphabet**size for size in range(least, most + 1)) // 2
        if self.nodes is not None and self.nodes > room:
            raise RecipeError(
                f"nodes is {self.nodes}; Depo{self.variant} has names for {room} vertices"
            )
        return self


def sample(draws: Draws, given: Depo) -> Sample:
    """One cycle and its queries."""
    nodes, hops, alphabet, least, most = PUBLISHED[given.variant]
    hops = given.hops or hops
    n = draws.size(given.nodes or nodes, given.sizes)
    spelling = words(draws, n, alphabet, least, most)
    names = [spelled(word) for word in spelling]
    order = draws.shuffled(range(n))
    text = " ; ".join([f"{names[i]} {names[(i + 1) % n]}" for i in order])
    asked = [(draws.between(1, hops), i) for i in draws.some(range(n), min(given.queries, n))]
    spans: list[Span] = []
    prompt = answer = ""
    for k, start in asked:
        prompt, answer = f"{text}\n? {k} {names[start]} =", names[(start + k) % n]
        text = f"{prompt} {answer}"
        spans.append((len(prompt) + 1, len(text)))
    meta: dict[str, Any] = {"n": n, "hops": [k for k, _ in asked]}
    if given.tokens:
        meta |= _bare(spelling, order, asked, hops, alphabet)
    return Sample(prompt, answer, text, tuple(spans), "depo", meta)


def _bare(
    spelling: list[tuple[int, ...]],
    order: list[int],
    asked: list[tuple[int, int]],
    hops: int,
    alphabet: int,
) -> dict[str, Any]:
    """Integer tokens, and [start, end) of the answers in them.

    The last token of a name is shifted by the size of the alphabet, so that names end by
    themselves, as in the released generator; the other numbers are ours.
    """
    base, n = ANSWER + hops + 1, len(spelling)
    bare = [[*(base + t for t in w[:-1]), base + alphabet + w[-1]] for w in spelling]
    tokens = [BOS]
    for i in order:
        tokens += bare[i] + bare[(i + 1) % n]
    spans = []
    for k, start in asked:
        tokens += [ANSWER + k, *bare[start], ANSWER]
        spans.append([len(tokens), len(tokens) + len(bare[(start + k) % n])])
        tokens += bare[(start + k) % n]
    return {"tokens": [*tokens, EOS], "answers": spans}


def generate(seed: int, number: int = 0, **parameters: Any) -> Sample:
    """The sample of a row number."""
    return sample(Draws(seed, "depo", number), Depo(**parameters))


def solve(prompt: str) -> str | None:
    """The answer to a prompt's last query, by following its edges; None where there is none."""
    query = _QUERY.search(prompt)
    if query is None:
        return None
    edges = dict(e for e in map(str.split, prompt.partition("\n")[0].split(" ; ")) if len(e) == 2)
    here: str | None = query[2]
    for _ in range(int(query[1])):
        here = edges.get(here or "")
    return here


def verify(completion: str, answer: str, prompt: str = "") -> float:
    """1.0 where the completion's first line is the vertex asked for."""
    right = answer or solve(prompt)
    return float(right is not None and first_line(completion) == right)
