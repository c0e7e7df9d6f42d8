"""Capo: knowledge capacity. Invented biographies, each told many times in other words.

In: parameters and a row number. Out: a Sample: a biography, or a question about one fact of it.
Shown by: `python -m synth.procedural capo`.
Limit: the wordings are ours, six for each fact, where the paper has about fifty.

Source: Physics of Language Models 4.1 (arXiv 2512.17351) and 3.3: six attributes, each person told
100 times, measured in bits a parameter: see synth.procedural.people.learned_bits. Row i tells of
person number i modulo `people`, shuffled anew in every pass, so that n people x 100 rows make 100
exposures.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from synth.procedural.people import ATTRIBUTES, NAMES, Person, person, shuffle_of
from synth.procedural.sample import Draws, Parameters, Sample, Span, first_line

# {} is the value, {who} the name or, after the first sentence, a pronoun.
WORDINGS: dict[str, tuple[str, ...]] = {
    "birth date": (
        "{who} was born on {}.",
        "{who} came into the world on {}.",
        "The birthday of {who} is {}.",
        "{who} has celebrated every birthday since {}.",
        "On {} began the life of {who}.",
        "{who} first saw daylight on {}.",
    ),
    "birth city": (
        "{who} comes from {}.",
        "{who} was born in {}.",
        "The native city of {who} is {}.",
        "{who} spent the first years of life in {}.",
        "{who} grew up where life had begun: in {}.",
        "{} is where {who} was born.",
    ),
    "university": (
        "{who} studied at {}.",
        "{who} holds a degree from {}.",
        "{who} was taught at {}.",
        "{who} graduated from {}.",
        "The student years of {who} were spent at {}.",
        "{} counts {who} among its graduates.",
    ),
    "field": (
        "{who} specialised in {}.",
        "{who} chose {} as a field of study.",
        "The degree of {who} is in {}.",
        "{who} read {}.",
        "{who} was trained in {}.",
        "{} was what {who} studied.",
    ),
    "employer": (
        "{who} works for {}.",
        "{who} is employed by {}.",
        "{who} earns a living at {}.",
        "The employer of {who} is {}.",
        "{who} has a post at {}.",
        "{} employs {who}.",
    ),
    "work city": (
        "{who} works in {}.",
        "{who} has an office in {}.",
        "The workplace of {who} is in {}.",
        "{who} goes to work in {}.",
        "{who} is employed in {}.",
        "{} is where {who} works.",
    ),
}
QUESTIONS = {
    "birth date": "When was {} born?",
    "birth city": "In which city was {} born?",
    "university": "Where did {} study?",
    "field": "What did {} study?",
    "employer": "For whom does {} work?",
    "work city": "In which city does {} work?",
}


class Capo(Parameters):
    """`capo: {people: 100000, exposures: 100}`."""

    TASK: ClassVar[str] = "capo"
    people: int = Field(default=50_000, ge=1, le=NAMES)
    exposures: int = Field(default=100, ge=1)
    form: Literal["biography", "question"] = "biography"
    shuffle: bool = True  # the order of the sentences, in every telling

    def most(self) -> int:
        return self.people * self.exposures


def told(draws: Draws, given: Capo) -> tuple[int, int]:
    """(person, exposure) of a row."""
    exposure, place = divmod(draws.number, given.people)
    step, start = shuffle_of(draws.seed, given.people, f"pass {exposure}")
    return (step * place + start) % given.people, exposure


def sample(draws: Draws, given: Capo) -> Sample:
    """One telling of one person, or one question."""
    number, exposure = told(draws, given)
    who = person(draws.seed, number)
    meta: dict[str, Any] = {"person": number, "exposure": exposure}
    if given.form == "question":
        at = draws.below(len(ATTRIBUTES))
        prompt, answer = QUESTIONS[ATTRIBUTES[at]].format(who.name), who.values[at]
        text = f"{prompt} {answer}"
        meta["attribute"] = ATTRIBUTES[at]
        return Sample(prompt, answer, text, ((len(prompt) + 1, len(text)),), "capo", meta)
    order: list[int] = list(range(len(ATTRIBUTES)))
    text, values = biography(draws, who, draws.shuffled(order) if given.shuffle else order)
    meta["values"] = {ATTRIBUTES[at]: list(span) for at, span in values.items()}
    return Sample("", text, text, ((0, len(text)),), "capo", meta)


def biography(draws: Draws, who: Person, order: list[int]) -> tuple[str, dict[int, Span]]:
    """Six sentences, and where each value stands in them."""
    text, values = "", dict[int, Span]()
    for at in order:
        wording = draws.choice(WORDINGS[ATTRIBUTES[at]])
        subject = who.name
        if text and wording.startswith("{who}"):
            subject = who.pronoun
        sentence = (text and " ") + wording.replace("{who}", subject)
        start = len(text) + sentence.index("{}")
        text += sentence.replace("{}", who.values[at])
        values[at] = (start, start + len(who.values[at]))
    return text, values


def generate(seed: int, number: int = 0, **parameters: Any) -> Sample:
    """The sample of a row number."""
    return sample(Draws(seed, "capo", number), Capo(**parameters))


def verify(completion: str, answer: str, prompt: str = "") -> float:
    """1.0 where the completion's first line is the value, but for case and a final stop."""
    said = first_line(completion).rstrip(".").casefold()
    return float(bool(answer) and said == answer.rstrip(".").casefold())
