"""Brevo: reasoning breadth. A DAG as shuffled edges; all that a vertex needs, in a valid order.

In: parameters and a row number. Out: a Sample; the loss is taken on the answer only.
Shown by: `python -m synth.procedural brevo`. Limit: as Depo: the spelling is ours.

An edge `x y` says that y needs x. Any topological order of what the vertex needs is right; the
vertex itself ends it. Source: Physics of Language Models 4.1 (arXiv 2512.17351): degrees up to 4.
Brevo1: N 110, 90 or 70, names of one token. Brevo2: N 50, 40 or 30, names of 2-4 tokens out of 4.
How vertices choose what they need follows the authors' released generator.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from gristmill.errors import RecipeError
from synth.procedural.sample import Draws, Parameters, Sample, Sizes, first_line, spelled, words

PUBLISHED = {1: 110, 2: 50}  # N
ALPHABET, LEAST, MOST = 4, 2, 4  # of Brevo2's names
ROOM = {1: 10_000, 2: 160}  # vertices that can be named
BOS, EOS, QUERY, ANSWER = 0, 1, 2, 3  # of the bare tokens; then names (ours)
_QUERY = re.compile(r"\n\? (\w+) =\s*\Z")
Needs = list[list[int]]  # of each vertex, the vertices that it needs


class Brevo(Parameters):
    """`brevo: {variant: 2, nodes: 30}`."""

    TASK: ClassVar[str] = "brevo"
    variant: Literal[1, 2] = 1
    nodes: int | None = Field(default=None, ge=3)  # N; 110 in Brevo1, 50 in Brevo2
    degree: int = Field(default=4, ge=1, le=16)  # most edges into and out of a vertex
    sizes: Sizes = "paper"  # how n is drawn: 1/sqrt(N + n), or 1/(sqrt(N) + n)
    tokens: bool = False  # bare tokens into meta

    @model_validator(mode="after")
    def _room(self) -> Brevo:
        if self.nodes is not None and self.nodes > ROOM[self.variant]:
            raise RecipeError(
                f"nodes is {self.nodes}; Brevo{self.variant} has names for "
                f"{ROOM[self.variant]} vertices"
            )
        return self


def dag(draws: Draws, n: int, degree: int) -> Needs:
    """Vertices 0 … n-1, each needing earlier ones; the first few need nothing."""
    free = draws.between(1, (n - 1) // 4 + 1)
    uses = [0] * n
    needs: Needs = [[] for _ in range(free)]
    for vertex in range(free, n):
        able = [other for other in range(vertex) if uses[other] < degree]
        needs.append(draws.some(able, draws.between(1, min(len(able), degree))))
        for other in needs[vertex]:
            uses[other] += 1
    return needs


def needed(needs: Needs, vertex: int) -> set[int]:
    """A vertex and all that it needs, directly or not."""
    found, left = {vertex}, [vertex]
    while left:
        for other in needs[left.pop()]:
            if other not in found:
                found.add(other)
                left.append(other)
    return found


def an_order(draws: Draws, needs: Needs, vertices: set[int]) -> list[int]:
    """A random topological order of vertices: each after all that it needs."""
    waits = {v: len(needs[v]) for v in sorted(vertices)}
    users: dict[int, list[int]] = {v: [] for v in waits}
    for v in waits:
        for other in needs[v]:
            users[other].append(v)
    ready = [v for v, count in waits.items() if not count]
    order = []
    while ready:
        at = draws.below(len(ready))
        ready[at], ready[-1] = ready[-1], ready[at]
        order.append(ready.pop())
        for user in users[order[-1]]:
            waits[user] -= 1
            if not waits[user]:
                ready.append(user)
    return order


def label(number: int) -> tuple[int, ...]:
    """Brevo1's name of a number: one syllable, or two from 100 on."""
    return (number,) if number < 100 else (number // 100 - 1, number % 100)


def sample(draws: Draws, given: Brevo) -> Sample:
    """One DAG; its last vertex is asked for."""
    most = given.nodes or PUBLISHED[given.variant]
    n = draws.size(most, given.sizes)
    needs = dag(draws, n, given.degree)
    vocabulary = most if given.variant == 1 else ALPHABET
    if given.variant == 1:
        numbers = draws.some(range(vocabulary), n)
        spelling: list[tuple[int, ...]] = [(number,) for number in numbers]
        names = [spelled(label(number)) for number in numbers]
    else:
        spelling = words(draws, n, vocabulary, LEAST, MOST)
        names = [spelled(word) for word in spelling]
    edges = draws.shuffled([(other, v) for v in range(n) for other in needs[v]])
    order = an_order(draws, needs, needed(needs, n - 1))
    listed = " ; ".join([f"{names[a]} {names[b]}" for a, b in edges])
    prompt = f"{listed}\n? {names[n - 1]} ="
    answer = " ".join([names[v] for v in order])
    text = f"{prompt} {answer}"
    meta: dict[str, Any] = {"n": n, "edges": len(edges), "needed": len(order)}
    if given.tokens:
        meta |= _bare(spelling, edges, order, vocabulary)
    return Sample(prompt, answer, text, ((len(prompt) + 1, len(text)),), "brevo", meta)


def _bare(
    spelling: list[tuple[int, ...]],
    edges: list[tuple[int, int]],
    order: list[int],
    vocabulary: int,
) -> dict[str, Any]:
    """Integer tokens, as Depo's: the last token of a name is shifted by the vocabulary's size."""
    base = ANSWER + 1
    bare = [[*(base + t for t in w[:-1]), base + vocabulary + w[-1]] for w in spelling]
    tokens = [BOS]
    for a, b in edges:
        tokens += bare[a] + bare[b]
    tokens += [QUERY, *bare[len(spelling) - 1], ANSWER]
    start = len(tokens)
    for v in order:
        tokens += bare[v]
    return {"tokens": [*tokens, EOS], "answers": [[start, len(tokens)]]}


def generate(seed: int, number: int = 0, **parameters: Any) -> Sample:
    """The sample of a row number."""
    return sample(Draws(seed, "brevo", number), Brevo(**parameters))


def right_order(said: Sequence[str], edges: Sequence[tuple[str, str]], asked: str) -> bool:
    """Whether names are exactly what `asked` needs and itself, each once and after what it needs.

    edges: (x, y) says that y needs x. Used for the worded form too.
    """
    needs: dict[str, set[str]] = {}
    for before, after in edges:
        needs.setdefault(after, set()).add(before)
    wanted, left = {asked}, [asked]
    while left:
        for other in needs.get(left.pop(), ()):
            if other not in wanted:
                wanted.add(other)
                left.append(other)
    if len(said) != len(wanted) or set(said) != wanted:
        return False
    done: set[str] = set()
    for name in said:
        if not needs.get(name, set()) <= done:
            return False
        done.add(name)
    return True


def parse(prompt: str) -> tuple[list[tuple[str, str]], str] | None:
    """The edges and the vertex asked for, as a prompt writes them; None where it does not."""
    query = _QUERY.search(prompt)
    if query is None:
        return None
    pairs = [pair.split() for pair in prompt.partition("\n")[0].split(" ; ")]
    return [(pair[0], pair[1]) for pair in pairs if len(pair) == 2], query[1]


def verify(completion: str, answer: str, prompt: str = "") -> float:
    """1.0 for any valid order; without the prompt only the given answer's own order is known."""
    said, problem = first_line(completion).split(), parse(prompt)
    if problem is None:
        return float(bool(answer) and said == answer.split())
    return float(right_order(said, *problem))
