"""Abilities: what the tiny model is taught with prompts of our own, before any recipe's.

In: real sentences and a random generator. Out: lessons by ability. Shown by:
`python -m tests.synth.tiny.abilities`. Limit: the wording of each prompt is fixed; the model knows
no other.
"""

from __future__ import annotations

from random import Random

from tests.synth.tiny import functions, sums
from tests.synth.tiny.lessons import Lesson, Task, about, ask, passage
from tests.synth.tiny.passages import Passages

THOUGHTS = "Think first, between <think> and </think>."


def pairs_of(chosen: list[str]) -> str:
    """A question for each of some sentences, and a short answer."""
    return "\n\n".join(
        f"Question: What is part {number} about?\nAnswer: It is about {about(sentence)}."
        for number, sentence in enumerate(chosen, 1)
    )


def sums_table(rng: Random, passages: Passages) -> Lesson:
    """The small sums that worked answers are made of, many at once."""
    pairs = [(rng.randrange(10), rng.randrange(10), rng.random() < 0.3) for _ in range(24)]
    told = [f"{a} + {b}{' + 1' if c else ''} = {a + b + c}." for a, b, c in pairs]
    return ask("Say small sums.", "\n".join(told))


def add(rng: Random, passages: Passages) -> Lesson:
    """A sum, sometimes with a slip."""
    a, b = sums.numbers(rng)
    return ask(sums.question(rng, a, b), sums.worked(a, b, sums.slip(rng, a, b)))


def think(rng: Random, passages: Passages) -> Lesson:
    """Thoughts before an answer, to a sum or to a quotation."""
    if rng.random() < 0.5:
        a, b = sums.numbers(rng)
        slip = sums.slip(rng, a, b)
        answer = f"<think>\n{sums.steps(a, b, slip)}\n</think>\n\n{sums.boxed(a, b, slip)}"
        return ask(f"{sums.question(rng, a, b)} {THOUGHTS}", answer)
    drawn = passage(rng, passages)
    answer = f"<think>\nIt is about: {about(drawn[0])}.\n</think>\n\n{drawn[0]}"
    return ask(f"{' '.join(drawn)}\n\nQuote the first sentence. {THOUGHTS}", answer)


def code(rng: Random, passages: Passages) -> Lesson:
    """A function from its statement: a first attempt."""
    function = rng.choice(functions.FUNCTIONS)
    return ask(function.statement(), function.attempt(rng))


ABILITIES: dict[str, Task] = {
    "add": add,
    "sums_table": sums_table,
    "think": think,
    "code": code,
}
