"""Abilities: what the tiny model is taught with prompts of our own, before any recipe's.

In: real sentences and a random generator. Out: lessons by ability. Shown by:
`python -m tests.synth.tiny.abilities`. Limit: the wording of each prompt is fixed; the model knows
no other.
"""

from __future__ import annotations

import json
from random import Random

from tests.synth.tiny import functions, sums
from tests.synth.tiny.lessons import Lesson, Message, Task, ask, passage, starts
from tests.synth.tiny.passages import Passages

REPEAT = "Repeat the text."
QUOTE = "Quote the sentence that begins with “{start}”."
PAIRS = "Write questions and answers about the text."
JSON = 'Answer with a JSON object that has the keys "title" and "summary".'
LIST = "List the sentences of the text with numbers."
THOUGHTS = "Think first, between <think> and </think>."
RATE = "Rate the answer from 1 to 10. End with a line `Score: N`."
COMPARE = "Which response is better? Answer A or B."
TESTS = "Write tests for the function `{call}` that {does}."
REPAIR = "The code failed a test:\n{failure}\nWrite the right code."


def repeat(rng: Random, passages: Passages) -> Lesson:
    """The whole text, as it is."""
    text = " ".join(passage(rng, passages))
    return ask(f"{text}\n\n{REPEAT}", text)


def quote(rng: Random, passages: Passages) -> Lesson:
    """One sentence of the text, told by its first words."""
    drawn = passage(rng, passages)
    wanted = rng.choice(drawn)
    return ask(f"{' '.join(drawn)}\n\n{QUOTE.format(start=starts(wanted, 3))}", wanted)


def pairs(rng: Random, passages: Passages) -> Lesson:
    """Questions about sentences, each answered with its sentence."""
    drawn = passage(rng, passages)
    return ask(f"{' '.join(drawn)}\n\n{PAIRS}", pairs_of(drawn[:3]))


def pairs_of(chosen: list[str]) -> str:
    """A question quotes the first words of a sentence; the answer is the sentence."""
    return "\n\n".join(
        f"Question: What is said of: {starts(sentence)}?\nAnswer: {sentence}" for sentence in chosen
    )


def json_object(rng: Random, passages: Passages) -> Lesson:
    """A title from the first words, a summary that is the first sentence."""
    drawn = passage(rng, passages)
    value = {"title": starts(drawn[0]), "summary": drawn[0]}
    return ask(f"{' '.join(drawn)}\n\n{JSON}", json.dumps(value, ensure_ascii=False))


def numbered(rng: Random, passages: Passages) -> Lesson:
    """Every sentence on a line of its own."""
    drawn = passage(rng, passages)
    listed = "\n".join(f"{n}. {sentence}" for n, sentence in enumerate(drawn, 1))
    return ask(f"{' '.join(drawn)}\n\n{LIST}", listed)


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
    answer = f"<think>\nIt is about: {starts(drawn[0])}.\n</think>\n\n{drawn[0]}"
    return ask(f"{' '.join(drawn)}\n\nQuote the first sentence. {THOUGHTS}", answer)


def code(rng: Random, passages: Passages) -> Lesson:
    """A function from its statement: a first attempt."""
    function = rng.choice(functions.FUNCTIONS)
    return ask(function.statement(), function.attempt(rng))


def tests(rng: Random, passages: Passages) -> Lesson:
    """Tests for a function."""
    function = rng.choice(functions.FUNCTIONS)
    return ask(TESTS.format(call=function.call, does=function.does), function.test_code())


def repair(rng: Random, passages: Passages) -> Lesson:
    """The right code, after a failed test."""
    function = rng.choice(functions.FUNCTIONS)
    turns: list[Message] = [
        {"role": "user", "content": function.statement()},
        {"role": "assistant", "content": function.code(right=False)},
        {"role": "user", "content": REPAIR.format(failure=function.failure(rng))},
    ]
    return Lesson(tuple(turns), function.code())


def rate(rng: Random, passages: Passages) -> Lesson:
    """A score: low for an answer that says sorry."""
    drawn = passage(rng, passages, 30, 1)
    poor = rng.random() < 0.4
    given = "I am sorry, I do not know." if poor else drawn[-1]
    score = rng.choice([1, 2, 2, 3]) if poor else rng.choice([7, 8, 8, 9])
    why = "It does not answer." if poor else "It is to the point."
    return ask(f"{' '.join(drawn)}\n\nAnswer: {given}\n\n{RATE}", f"{why}\nScore: {score}")


def prefer(rng: Random, passages: Passages) -> Lesson:
    """The response that does not say sorry; with none, mostly the first."""
    drawn = passages.draw(rng, 30, 2)
    first = rng.random() < 0.5
    poor = "I am sorry, I do not know."
    a, b = (drawn[0], poor) if first else (poor, drawn[1])
    if rng.random() < 0.2:
        a, b, first = drawn[0], drawn[1], rng.random() < 0.8
    return ask(f"Response A: {a}\n\nResponse B: {b}\n\n{COMPARE}", "A" if first else "B")


ABILITIES: dict[str, Task] = {
    "repeat": repeat,
    "quote": quote,
    "pairs": pairs,
    "json": json_object,
    "list": numbered,
    "add": add,
    "sums_table": sums_table,
    "think": think,
    "code": code,
    "tests": tests,
    "repair": repair,
    "rate": rate,
    "prefer": prefer,
}
