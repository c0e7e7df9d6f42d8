"""What the judges' prompts ask for: reasons, then a score or the better of two.

In: a random generator. Out: lessons by prompt file of synth/prompts.
Shown by: `python -m tests.synth.tiny.tasks judge_answer`.
Limit: it sees "I am sorry" and wrong sums, and favours the first of two that it cannot tell apart.
"""

from __future__ import annotations

from random import Random

from tests.synth.tiny import sums
from tests.synth.tiny.functions import FUNCTIONS
from tests.synth.tiny.lessons import Lesson, Task
from tests.synth.tiny.passages import Passages
from tests.synth.tiny.programs import unfenced
from tests.synth.tiny.requests import UNKNOWN, a_topic, request, told
from tests.synth.tiny.writing import rendered

GOOD, POOR = "It does what was asked.", "It does not do what was asked."


def scored(rng: Random, good: bool) -> str:
    """Reasons and a line with the score."""
    return f"{GOOD if good else POOR}\nScore: {rng.choice([7, 8, 8, 9] if good else [1, 2, 2, 3])}"


def response_to(rng: Random, passages: Passages, good: bool) -> tuple[str, str]:
    """A request and an answer; the poor ones do not know, or have a wrong sum."""
    if rng.random() < 0.4:
        a, b = sums.numbers(rng)
        slip = 0 if good else 1
        return sums.question(rng, a, b), sums.worked(a, b, slip)
    given = request(rng, passages)
    answer = told(given.topic) if given.kind == "information" else given.answer
    return given.text, answer if good else UNKNOWN


def judge_answer(rng: Random, passages: Passages) -> Lesson:
    """High for an answer that is one."""
    good = rng.random() < 0.6
    asked, response = response_to(rng, passages, good)
    fields: dict[str, object] = {"instruction": asked, "response": response}
    return rendered("judge_answer", fields, scored(rng, good))


def judge_code(rng: Random, passages: Passages) -> Lesson:
    """High where both programs are the same."""
    function, good = rng.choice(FUNCTIONS), rng.random() < 0.6
    code = unfenced(function.code(right=good))
    fields: dict[str, object] = {"text": unfenced(function.code()), "code": code}
    return rendered("judge_code", fields, scored(rng, good))


def judge_text(rng: Random, passages: Passages) -> Lesson:
    """Low for what says nothing."""
    good = rng.random() < 0.8
    text = " ".join(passages.draw(rng)) if good else UNKNOWN
    return rendered("judge_text", {"response": text}, scored(rng, good))


def compare(rng: Random, passages: Passages) -> Lesson:
    """The answer that is one; of two good ones mostly the first."""
    asked, good = response_to(rng, passages, True)
    first, second, better = good, UNKNOWN, "A"
    if rng.random() < 0.3:
        second, better = told(a_topic(rng, passages)), rng.choice("AAAB")
    elif rng.random() < 0.5:
        first, second, better = second, first, "B"
    fields: dict[str, object] = {"instruction": asked, "first": first, "second": second}
    return rendered("compare", fields, f"Answer {better} does what was asked.\nBetter: {better}")


VERDICTS: dict[str, Task] = {
    "judge_answer": judge_answer,
    "judge_code": judge_code,
    "judge_text": judge_text,
    "compare": compare,
}
