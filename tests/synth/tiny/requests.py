"""What the recipes that start from instructions ask for: requests, answers, verdicts, dialogues.

In: a random generator. Out: lessons by prompt file of synth/prompts.
Shown by: `python -m tests.synth.tiny.tasks evol_instruct`. Limit: answers know no facts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random

from tests.synth.tiny import sums
from tests.synth.tiny.functions import FUNCTIONS
from tests.synth.tiny.lessons import Lesson, Message, Task, about, starts
from tests.synth.tiny.passages import Passages
from tests.synth.tiny.writing import listed, rendered

TOPICS = (
    "bread rivers gardens music clocks bridges maps weather bees chess tea paper trains glass "
    "sleep soap wolves coins lamps salt boats painting winter kites stones"
).split()
ASKED = (
    "Tell me about {}.",
    "Write a short text about {}.",
    "Explain {} to a child.",
    "What is good to know about {}?",
    "Give me three tips about {}.",
    "Why do people care about {}?",
)
ASPECTS = ("the history of {}", "the uses of {}", "the cost of {}", "myths about {}", "{} at home")
EVOLVED = {
    "constrain": "Use at most fifty words.",
    "deepen": "Go into the reasons as well.",
    "concretize": "Speak of one town in one year.",
    "reason": "Compare it with the year before.",
    "complicate": "Use this table: | 1 | 2 |",
}
MANNERS = ("curious", "in a hurry", "like a beginner", "like an expert")
UNKNOWN = "I am sorry, I do not know."
SHORT = ("Hi.", "Test.", "Help me.", "Hello there.")


@dataclass(frozen=True, slots=True)
class Request:
    """What a user may ask, its topic and a good answer."""

    text: str
    kind: str  # maths, coding, information
    topic: str
    answer: str


def a_topic(rng: Random, passages: Passages) -> str:
    """A word of the list, or words of a real sentence: the model is to copy either."""
    if rng.random() < 0.8:
        return rng.choice(TOPICS)
    words = starts(passages.draw(rng, 30, 1)[0], 30).split()
    at = rng.randrange(max(1, len(words) - 2))
    return " ".join(words[at : at + rng.randint(1, 2)]).strip(",;:")


def request(rng: Random, passages: Passages) -> Request:
    """Of one of three kinds."""
    kind = rng.choice(["maths", "coding", "information", "information"])
    if kind == "maths":
        a, b = sums.numbers(rng)
        answer = sums.worked(a, b, sums.slip(rng, a, b))
        return Request(sums.question(rng, a, b), kind, "sums", answer)
    if kind == "coding":
        function = rng.choice(FUNCTIONS)
        return Request(function.statement(), kind, "code", function.attempt(rng))
    topic = a_topic(rng, passages)
    return Request(rng.choice(ASKED).format(topic), kind, topic, told(topic))


def told(topic: str) -> str:
    """An answer about a topic."""
    return f"There is much to say about {topic}. Begin with the basics of {topic}, then go on."


def user_turn(rng: Random, passages: Passages) -> Lesson:
    """What a user asks, with nothing before it (Magpie)."""
    text = rng.choice(SHORT) if rng.random() < 0.1 else request(rng, passages).text
    return Lesson((), text)


def answer(rng: Random, passages: Passages) -> Lesson:
    """A request answered; now and then the model does not know."""
    given = request(rng, passages)
    poor = given.kind == "information" and rng.random() < 0.2
    return rendered("answer", {"instruction": given.text}, UNKNOWN if poor else given.answer)


def self_instruct(rng: Random, passages: Passages) -> Lesson:
    """A further task."""
    examples = [{"instruction": request(rng, passages).text} for _ in range(8)]
    new = ASKED[rng.randrange(len(ASKED))].format(rng.choice(TOPICS))
    return rendered("self_instruct", {"examples": examples}, new)


def self_instruct_instance(rng: Random, passages: Passages) -> Lesson:
    """Input and output of a task."""
    given = request(rng, passages)
    text = f"<input></input>\n<output>{given.answer}</output>"
    return rendered("self_instruct_instance", {"instruction": given.text}, text)


def evol_instruct(rng: Random, passages: Passages) -> Lesson:
    """The instruction and one more condition; or another one."""
    given = request(rng, passages)
    method = rng.choice([*EVOLVED, "breadth"])
    other = ASKED[rng.randrange(len(ASKED))].format(rng.choice(TOPICS))
    new = other if method == "breadth" else f"{given.text} {EVOLVED[method]}"
    if method != "breadth" and rng.random() < 0.15:
        new = given.text  # no gain
    return rendered("evol_instruct", {"method": method, "instruction": given.text}, new)


def evol_gain(rng: Random, passages: Passages) -> Lesson:
    """Equal where nothing was added."""
    given = request(rng, passages).text
    same = rng.random() < 0.4
    other = given if same else f"{given} {rng.choice(list(EVOLVED.values()))}"
    fields: dict[str, object] = {"before": given, "instruction": other}
    return rendered("evol_gain", fields, "equal" if same else "different")


def magpie_tag(rng: Random, passages: Passages) -> Lesson:
    """By kind; very short requests are poor."""
    given = request(rng, passages)
    tags = {"difficulty": "easy", "quality": "good", "category": given.kind}
    if given.kind == "coding":
        tags["difficulty"] = "medium"
    text = given.text
    if rng.random() < 0.2:
        text = rng.choice(SHORT)
        tags = {"difficulty": "very easy", "quality": "poor", "category": "other"}
    return rendered("magpie_tag", {"instruction": text}, json.dumps(tags))


def critique(rng: Random, passages: Passages) -> Lesson:
    """Two points."""
    given = request(rng, passages)
    poor = rng.random() < 0.3
    points = ["It does not answer." if poor else "It is short.", f"Say more about {given.topic}."]
    response = UNKNOWN if poor else given.answer
    fields: dict[str, object] = {"instruction": given.text, "response": response}
    return rendered("critique", fields, listed(points, "-"))


def revise(rng: Random, passages: Passages) -> Lesson:
    """The answer, and an example."""
    given = request(rng, passages)
    points = listed(["It is short.", f"Say more about {given.topic}."], "-")
    better = f"{given.answer}\n\nThis is an example of {given.topic}."
    fields: dict[str, object] = {
        "instruction": given.text,
        "response": rng.choice([given.answer, UNKNOWN]),
        "critique": points,
    }
    return rendered("revise", fields, better)


def numbered_on(name: str, forms: tuple[str, ...]) -> Task:
    """`count` lines on a topic."""

    def task(rng: Random, passages: Passages) -> Lesson:
        topic, count = a_topic(rng, passages), rng.randint(2, len(forms))
        lines = [form.format(topic) for form in forms[:count]]
        return rendered(name, {"topic": topic, "count": count}, listed(lines))

    return task


def dialogue_user(rng: Random, passages: Passages) -> Lesson:
    """The user goes on about the topic."""
    topic = a_topic(rng, passages)
    turns: list[Message] = []
    for n in range(rng.randint(1, 3)):
        asked = ASKED[rng.randrange(len(ASKED))] if n == 0 else "Can you say more about {}?"
        turns.append({"role": "user", "content": asked.format(topic)})
        turns.append({"role": "assistant", "content": told(topic)})
    fields: dict[str, object] = {"manner": rng.choice(MANNERS), "turns": turns}
    return rendered("dialogue_user", fields, f"Can you say more about {topic}?")


def persona_from_persona(rng: Random, passages: Passages) -> Lesson:
    """Somebody near the person."""
    persona = a_persona(rng, passages)
    kin = rng.choice(["A pupil", "A friend", "An old rival", "A sister"])
    return rendered("persona_from_persona", {"persona": persona}, f"{kin} of a {persona[2:]}")


def persona_maths(rng: Random, passages: Passages) -> Lesson:
    """A sum as a problem."""
    problem = sums.question(rng, *sums.numbers(rng))
    return rendered("persona_maths", {"persona": a_persona(rng, passages)}, problem)


def a_persona(rng: Random, passages: Passages) -> str:
    """As persona_from_text describes one."""
    return f"A reader who wants to know more about {about(passages.draw(rng, 30, 1)[0])}."


def solve_maths(rng: Random, passages: Passages) -> Lesson:
    """A sum, sometimes with a slip."""
    a, b = sums.numbers(rng)
    worked = sums.worked(a, b, sums.slip(rng, a, b))
    return rendered("solve_maths", {"question": sums.question(rng, a, b)}, worked)


def tutorship_review(rng: Random, passages: Passages) -> Lesson:
    """Correct, or the first wrong line and what it should be."""
    a, b = sums.numbers(rng)
    slip = sums.slip(rng, a, b) if rng.random() < 0.5 else rng.choice([0, 1])
    attempt = sums.worked(a, b, slip)
    step = attempt.split("\n")[0] if slip else "none"
    review = (
        f"<verdict>{'wrong' if slip else 'correct'}</verdict>\n<step>{step}</step>\n"
        f"<correction>{sums.worked(a, b)}</correction>"
    )
    fields: dict[str, object] = {"question": sums.question(rng, a, b), "attempt": attempt}
    return rendered("tutorship_review", fields, review)


REQUESTS: dict[str, Task] = {
    "user_turn": user_turn,
    "answer": answer,
    "self_instruct": self_instruct,
    "self_instruct_instance": self_instruct_instance,
    "evol_instruct": evol_instruct,
    "evol_gain": evol_gain,
    "magpie_tag": magpie_tag,
    "critique": critique,
    "revise": revise,
    "subtopics": numbered_on("subtopics", ASPECTS),
    "topic_questions": numbered_on("topic_questions", ASKED),
    "dialogue_user": dialogue_user,
    "persona_from_persona": persona_from_persona,
    "persona_maths": persona_maths,
    "solve_maths": solve_maths,
    "tutorship_review": tutorship_review,
}
