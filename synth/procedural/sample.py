"""A drawn sample, and the draws that it comes from: numbers, choices, orders, sizes, words.

In: a seed, the task's name and a row number. Out: a Sample; the same three give the same sample.
Shown by: `python -m pytest tests/synth/procedural`.
Limit: draws are uniform to 53 bits, not to the last bit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator

from gristmill.rng import derive_seed
from gristmill.values import check_values

T = TypeVar("T")
Span = tuple[int, int]
SMALLEST = 3  # the fewest vertices of Depo and Brevo
# How n is drawn from 3 … N: by 1/sqrt(N + n), as noted from Physics of Language Models 4.1, or by
# 1/(sqrt(N) + n), as in the generator that its authors released, which favours small graphs.
Sizes = Literal["paper", "released"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One example. `text` is prompt, a space and answer: one of both alone where the other is "".

    spans: [start, end) in characters of `text`: where the loss of training is taken.
    """

    prompt: str
    answer: str
    text: str
    spans: tuple[Span, ...]
    verifier: str  # a name of synth.verify.VERIFIERS
    meta: dict[str, Any] = field(default_factory=dict)


class Parameters(BaseModel):
    """What a user may set of a task."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    TASK: ClassVar[str] = ""

    @model_validator(mode="before")
    @classmethod
    def _plain_values(cls, given: Any) -> Any:
        check_values(cls, given)
        return given

    def most(self) -> int | None:
        """How many rows there are, where there is an end."""
        return None


class Draws:
    """The random numbers of one row. Only `Random.random` is used: it is the same for ever."""

    __slots__ = ("number", "seed", "uniform")

    def __init__(self, seed: int, task: str, number: int = 0) -> None:
        self.seed, self.number = seed, number
        self.uniform = Random(derive_seed(seed, task, number)).random

    def below(self, stop: int) -> int:
        """0 … stop - 1."""
        return int(self.uniform() * stop)

    def between(self, low: int, high: int) -> int:
        """low … high, both possible."""
        return low + int(self.uniform() * (high - low + 1))

    def choice(self, values: Sequence[T]) -> T:
        """One of them."""
        return values[int(self.uniform() * len(values))]

    def shuffled(self, values: Sequence[T]) -> list[T]:
        """All of them in a random order."""
        return self.some(values, len(values))

    def some(self, values: Sequence[T], count: int) -> list[T]:
        """`count` of them, each at most once, in a random order."""
        left, uniform = list(values), self.uniform
        size = len(left)
        for place in range(count):  # Fisher and Yates, as far as needed
            other = place + int(uniform() * (size - place))
            left[place], left[other] = left[other], left[place]
        return left[:count]

    def size(self, largest: int, law: Sizes = "paper") -> int:
        """A number n of vertices, 3 … N; see Sizes."""
        return SMALLEST + bisect_right(_sizes(largest, law), self.uniform())


@lru_cache(maxsize=64)
def _sizes(largest: int, law: Sizes) -> list[float]:
    numbers = range(SMALLEST, largest + 1)
    if law == "paper":
        weights = [(largest + n) ** -0.5 for n in numbers]
    else:
        weights = [1 / (largest**0.5 + n) for n in numbers]
    total = sum(weights)
    return [part / total for part in accumulate(weights)][:-1]


SYLLABLES = tuple(c + v for c in "bcdfghjklmnpqrstvwxz" for v in "aeiou")


def words(draws: Draws, count: int, alphabet: int, least: int, most: int) -> list[tuple[int, ...]]:
    """`count` different words of least … most syllables out of the first `alphabet` ones."""
    found: dict[tuple[int, ...], None] = {}  # a dict keeps the order; a set's order is random
    uniform = draws.uniform
    while len(found) < count:
        size = least + int(uniform() * (most - least + 1))
        found[tuple([int(uniform() * alphabet) for _ in range(size)])] = None
    return list(found)


def spelled(word: Sequence[int]) -> str:
    """The syllables of a word, joined."""
    return "".join([SYLLABLES[i] for i in word])


def first_line(completion: str) -> str:
    """What a completion says before its first line ends."""
    return completion.lstrip().partition("\n")[0].strip()
