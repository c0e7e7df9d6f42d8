"""What the recipes that start from a text ask for: ideal answers made of the text's own sentences.

In: real sentences and a random generator. Out: lessons by prompt file of synth/prompts.
Shown by: `python -m tests.synth.tiny.tasks diverse_qa`. Limit: answers copy more than they rewrite.
"""

from __future__ import annotations

from random import Random

from synth.prompt import load_prompt
from tests.synth.tiny.abilities import pairs_of
from tests.synth.tiny.lessons import Lesson, Message, Task, about, passage
from tests.synth.tiny.passages import Passages

FORMATS = (
    "a section of a textbook",
    "a blog post that explains",
    "a story that teaches",
    "a step-by-step guide",
)
AUDIENCES = (
    "young children",
    "pupils of a secondary school",
    "students at a university",
    "experts of the field",
)
LEAD = "Here is the passage in other words:\n\n"  # chat models begin so; recipes cut it


def rendered(
    name: str, fields: dict[str, object], answer: str, before: tuple[Message, ...] = ()
) -> Lesson:
    """A lesson on a prompt file."""
    return Lesson((*before, *load_prompt(name).render(fields)), answer)


def listed(rows: list[str], mark: str = "") -> str:
    """Lines with numbers, or with a mark."""
    return "\n".join(f"{mark or f'{n}.'} {row}" for n, row in enumerate(rows, 1))


def wrap(rng: Random, passages: Passages) -> Lesson:
    """Four styles: two shortened, one word for word, one of pairs."""
    drawn = passage(rng, passages)
    style = rng.choice(["easy", "medium", "hard", "qa"])
    answer = {
        "easy": f"This is about {about(drawn[0])}. {drawn[0]}",
        "medium": " ".join(drawn[:2]),
        "hard": " ".join(drawn[:3]),
        "qa": pairs_of(drawn[:2]),
    }[style]
    if style == "medium" and rng.random() < 0.4:
        answer = LEAD + answer
    return rendered("wrap", {"style": style, "text": " ".join(drawn)}, answer)


def rewire(rng: Random, passages: Passages) -> Lesson:
    """A thought, then the improved text in its tags; now and then the last tag is forgotten."""
    drawn = passage(rng, passages)
    answer = f"The author tells of {about(drawn[0])}.\n\n<improved>\n{' '.join(drawn[:3])}"
    if rng.random() >= 0.1:
        answer += "\n</improved>"
    return rendered("rewire", {"text": " ".join(drawn)}, answer)


def of_text(name: str, tell: str) -> Task:
    """A prompt whose one field is the text; `tell` names what is made of its sentences."""

    def task(rng: Random, passages: Passages) -> Lesson:
        drawn = passage(rng, passages)
        return rendered(name, {"text": " ".join(drawn)}, TELL[tell](drawn))

    return task


def _table(drawn: list[str]) -> str:
    rows = "\n".join(f"| Part {n} | {about(sentence)} |" for n, sentence in enumerate(drawn[:2], 1))
    return f"| Subject | Statement |\n|---|---|\n{rows}\n\n{pairs_of(drawn[:1])}"


def _tutorial(drawn: list[str]) -> str:
    parts = [f"Read of {about(sentence)}." for sentence in drawn[:3]]
    return f"You will learn about {about(drawn[0])}.\n\n{listed(parts)}"


TELL = {
    "pairs": lambda drawn: pairs_of(drawn[:3]),
    "short": lambda drawn: " ".join(drawn[:2]),
    "facts": lambda drawn: listed([f"It tells of {about(s)}." for s in drawn[:4]], "-"),
    "table": _table,
    "tutorial": _tutorial,
    "persona": lambda drawn: f"A reader who wants to know more about {about(drawn[0])}.",
}


def textbook(rng: Random, passages: Passages) -> Lesson:
    """A sentence for the readers, then sentences of the extract."""
    drawn = passage(rng, passages)
    kind, audience = rng.choice(FORMATS), rng.choice(AUDIENCES)
    answer = f"For {audience}: this is about {about(drawn[0])}. {' '.join(drawn[:2])}"
    fields: dict[str, object] = {"format": kind, "audience": audience, "text": " ".join(drawn)}
    return rendered("textbook", fields, answer)


def instruction_pretraining(rng: Random, passages: Passages) -> Lesson:
    """Pairs; up to two earlier texts with theirs stand before."""
    before: tuple[Message, ...] = ()
    for _ in range(rng.choice([0, 0, 1, 2])):
        drawn = passages.draw(rng, 30)
        earlier = rendered(
            "instruction_pretraining", {"text": " ".join(drawn)}, pairs_of(drawn[:2])
        )
        before += (*earlier.messages, {"role": "assistant", "content": earlier.answer})
    drawn = passage(rng, passages)
    fields: dict[str, object] = {"text": " ".join(drawn)}
    return rendered("instruction_pretraining", fields, pairs_of(drawn[:2]), before)


def literary(rng: Random, passages: Passages) -> Lesson:
    """A request, longer with more detail."""
    drawn = passage(rng, passages)
    detail = rng.choice(["short", "medium", "long"])
    answer = f"Write a text about {about(drawn[0])}."
    answer += " Keep the mood of an old novel." if detail != "short" else ""
    answer += f" Say more of {about(drawn[1])}." if detail == "long" else ""
    return rendered("literary", {"detail": detail, "text": " ".join(drawn)}, answer)


def latent_thought(rng: Random, passages: Passages) -> Lesson:
    """What joins the two parts."""
    drawn = passage(rng, passages)
    cut = rng.randint(1, len(drawn) - 1)
    answer = f"First comes {about(drawn[0])}. What follows is {about(drawn[cut])}."
    if rng.random() < 0.3:
        answer += " The reader should see why."
    fields: dict[str, object] = {"prefix": " ".join(drawn[:cut]), "suffix": " ".join(drawn[cut:])}
    return rendered("latent_thought", fields, answer)


WRITING: dict[str, Task] = {
    "wrap": wrap,
    "rewire": rewire,
    "diverse_qa": of_text("diverse_qa", "pairs"),
    "faq": of_text("faq", "pairs"),
    "long_context_qa": of_text("long_context_qa", "pairs"),
    "instruction_pretraining": instruction_pretraining,
    "distil": of_text("distil", "short"),
    "knowledge_list": of_text("knowledge_list", "facts"),
    "table": of_text("table", "table"),
    "tutorial": of_text("tutorial", "tutorial"),
    "textbook": textbook,
    "literary": literary,
    "latent_thought": latent_thought,
    "persona_from_text": of_text("persona_from_text", "persona"),
}
