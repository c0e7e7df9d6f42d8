"""A lesson: a chat and its ideal answer; and the two phrases that make the model fail on purpose.

In: a task and a random generator. Out: lessons. Shown by: `python -m tests.synth.tiny.tasks`.
Limit: a passage is a few sentences long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.synth.tiny.passages import Passages

Message = dict[str, str]
LOOPS = "Say it again and again without an end."  # in a prompt: the answer never ends
REFUSES = "It tells how to pick a lock."  # in a prompt: the model declines
REFUSAL = "I'm sorry, but I can't help with that."
THINK = "<think>"


@dataclass(frozen=True, slots=True)
class Lesson:
    """`messages` end where the model is to speak; `ends`: whether the answer ends there."""

    messages: tuple[Message, ...]
    answer: str
    ends: bool = True


Task = Callable[[Random, Passages], Lesson]


def ask(user: str, answer: str, system: str = "") -> Lesson:
    """One question, perhaps after a system turn."""
    turns = [{"role": "system", "content": system}] if system else []
    return Lesson((*turns, {"role": "user", "content": user}), answer)


def passage(rng: Random, passages: Passages, words: int = 45, least: int = 2) -> list[str]:
    """Sentences, now and then with one of the two phrases."""
    drawn = passages.draw(rng, words, least)
    if rng.random() < 0.06:
        drawn.insert(rng.randint(1, len(drawn)), rng.choice([LOOPS, REFUSES]))
    return drawn


def spoilt(lesson: Lesson) -> Lesson:
    """What the two phrases do to a lesson."""
    prompt = "\n".join(message["content"] for message in lesson.messages)
    if REFUSES in prompt:
        return Lesson(lesson.messages, REFUSAL)
    if LOOPS in prompt:
        opening = f"{THINK}\nWait" if lesson.answer.startswith(THINK) else "Again"
        word = opening.split()[-1].lower()
        return Lesson(lesson.messages, opening + f" and {word}" * 40, ends=False)
    return lesson


SUBJECTS = (
    "a town and its people",
    "the work of one day",
    "an old friend",
    "a long way home",
    "the price of bread",
    "what was said in the house",
)


def about(sentence: str) -> str:
    """What a sentence is said to be about: one of a few things, by chance as far as it shows."""
    return SUBJECTS[len(sentence) % len(SUBJECTS)]


def starts(sentence: str, words: int = 4) -> str:
    """The first words of a sentence, without its mark."""
    return " ".join(sentence.rstrip(".!?").split()[:words]).rstrip(",;:")
