"""Mano, Depo and Brevo told in plain language, in several settings chosen by the seed.

In: parameters and a row number. Out: a Sample whose prompt is a question for a chat model.
Shown by: `python -m synth.procedural worded_depo`. Limit: English. The wordings are ours.

What a Brevo prompt says can be read back (`parse_brevo`), so that its verifier takes any valid
order and not only the one that was drawn.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import Field, field_validator

from synth.procedural import brevo, mano
from synth.procedural.sample import Draws, Parameters, Sample

PEOPLE = (
    "Ada Ben Carla Dan Edith Felix Grace Hugo Ines Jonas Karin Leo Mina Nora Oscar Paula Quinn "
    "Ruth Simon Tessa Ulla Victor Wanda Xenia Yusuf Zoe Arno Bella Cyril Dora Emil Flora Georg "
    "Hanna Igor Judith Kurt Lena Marek Nadia Otto Petra Rafael Sonja Theo Ursula Vera Walter "
    "Yara Zeno"
).split()
PARTS = (
    "anchor axle barrel beam bell belt board bolt bracket brush cabin cable canvas cap chain "
    "clamp cord cover crank deck dial door drum engine fan fence filter flag frame funnel gate "
    "gauge gear handle hatch hinge hose jack keel kiln knob ladder lamp latch lens lever lid "
    "lock mast mirror motor nozzle oven paddle panel pedal piston plug pole post press pulley "
    "pump rail ramp reel roof rotor rudder sail screen seal shaft shelf socket spring stove "
    "strap switch tank tray valve vent wheel winch window"
).split()
# How an edge is told; the question; its unit, one and many.
CYCLES = (
    (
        "{a} passes the parcel to {b}.",
        "Starting from {a}, who has the parcel after {count}?",
        ("pass", "passes"),
    ),
    (
        "The right-hand neighbour of {a} at the round table is {b}.",
        "Starting from {a} and moving {count} to the right, whom do you reach?",
        ("seat", "seats"),
    ),
    (
        "After the shift of {a} comes that of {b}.",
        "Whose shift comes {count} after that of {a}?",
        ("shift", "shifts"),
    ),
    (
        "{a} writes letters to nobody but {b}.",
        "A message starts with {a} and goes on by {count}. Who has it in the end?",
        ("letter", "letters"),
    ),
)
ORDERS = (
    (
        "The {a} must be ready before the {b}.",
        "Which parts have to be ready for the {q}, itself included, and in what order?",
    ),
    (
        "Nobody can build the {b} without the {a}.",
        "List what must be built, in order, to have the {q} in the end.",
    ),
    (
        "Fit the {a} first, then the {b}.",
        "We want the {q}, and nothing that is not needed for it. What is fitted, in which order?",
    ),
)
ONLY = (" Answer with one name.", " Give only the name.", " Reply with the name alone.")
LISTED = (" Separate the names by commas.", " Answer with a list, separated by commas.")
NAMED = {"+": "the sum of {} and {}", "-": "the difference {} minus {}", "*": "{} times {}"}
MANO = (
    "What is {} modulo {m}?",
    "Compute {} and give the remainder when it is divided by {m}.",
    "Counting modulo {m}, what does {} come to?",
)


class WordedMano(Parameters):
    """`worded_mano: {length: 3}`."""

    TASK: ClassVar[str] = "worded_mano"
    length: int = Field(default=4, ge=1, le=40)
    modulus: int = Field(default=23, ge=2, le=1_000_000)
    operations: str = mano.KNOWN

    @field_validator("operations")
    @classmethod
    def _known(cls, value: str) -> str:
        return mano.known_operations(value)


class WordedDepo(Parameters):
    """`worded_depo: {nodes: 8, hops: 3}`."""

    TASK: ClassVar[str] = "worded_depo"
    nodes: int = Field(default=10, ge=3, le=len(PEOPLE))
    hops: int = Field(default=4, ge=1, le=100)


class WordedBrevo(Parameters):
    """`worded_brevo: {nodes: 8}`."""

    TASK: ClassVar[str] = "worded_brevo"
    nodes: int = Field(default=10, ge=3, le=len(PARTS))
    degree: int = Field(default=3, ge=1, le=16)


def _question(prompt: str, answer: str, verifier: str, **meta: Any) -> Sample:
    text = f"{prompt} {answer}"
    return Sample(prompt, answer, text, ((len(prompt) + 1, len(text)),), verifier, meta)


def infix(tree: mano.Tree) -> str:
    """With brackets around every inner expression."""
    if isinstance(tree, int):
        return str(tree)
    inner = [infix(part) if isinstance(part, int) else f"({infix(part)})" for part in tree[1:]]
    return f"{inner[0]} {tree[0]} {inner[1]}"


def spoken(tree: mano.Tree) -> str:
    """In words, with brackets where one stands inside another."""
    if isinstance(tree, int):
        return str(tree)
    inner = [spoken(part) if isinstance(part, int) else f"({spoken(part)})" for part in tree[1:]]
    return NAMED[tree[0]].format(*inner)


def steps(tree: mano.Tree, lines: list[str]) -> str:
    """As definitions appended to `lines`, innermost first; the name of the whole."""
    if isinstance(tree, int):
        return str(tree)
    left, right = steps(tree[1], lines), steps(tree[2], lines)
    name = f"x{len(lines) + 1}"
    lines.append(f"{name} = {left} {tree[0]} {right}")
    return name


def sample_mano(draws: Draws, given: WordedMano) -> Sample:
    """A modular expression in brackets, in words, or as definitions."""
    count = draws.between(1, given.length)
    tree = mano.tree(draws, count, given.modulus, given.operations)
    answer = str(mano.value(tree, given.modulus))
    style = draws.choice(("infix", "spoken", "steps"))
    if style == "steps":
        lines: list[str] = []
        name = steps(tree, lines)
        prompt = f"Let {', '.join(lines)}. What is {name} modulo {given.modulus}?"
    else:
        said = infix(tree) if style == "infix" else spoken(tree)
        prompt = draws.choice(MANO).format(said, m=given.modulus)
    return _question(prompt, answer, "number", length=count, style=style)


def sample_depo(draws: Draws, given: WordedDepo) -> Sample:
    """People in a ring, told in a random order."""
    n, k = draws.size(given.nodes), draws.between(1, given.hops)
    people, (edge, question, units) = draws.some(PEOPLE, n), draws.choice(CYCLES)
    told = [edge.format(a=people[i], b=people[(i + 1) % n]) for i in draws.shuffled(range(n))]
    asked = question.format(a=people[0], count=f"{k} {units[k > 1]}")
    prompt = f"{' '.join(told)} {asked}{draws.choice(ONLY)}"
    return _question(prompt, people[k % n], "worded_depo", n=n, hops=k)


def sample_brevo(draws: Draws, given: WordedBrevo) -> Sample:
    """Parts that need other parts."""
    n = draws.size(given.nodes)
    needs, parts = brevo.dag(draws, n, given.degree), draws.some(PARTS, n)
    edge, question = draws.choice(ORDERS)
    edges = [(parts[other], parts[v]) for v in range(n) for other in needs[v]]
    told = [edge.format(a=a, b=b) for a, b in draws.shuffled(edges)]
    order = brevo.an_order(draws, needs, brevo.needed(needs, n - 1))
    prompt = f"{' '.join(told)} {question.format(q=parts[n - 1])}{draws.choice(LISTED)}"
    answer = ", ".join([parts[v] for v in order])
    return _question(prompt, answer, "worded_brevo", n=n, edges=len(edges), needed=len(order))


@lru_cache
def _readers() -> tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]:
    """For each setting of ORDERS, what finds its edges and its question."""

    def reader(wording: str) -> re.Pattern[str]:
        pattern = re.escape(wording)
        for slot in "abq":
            pattern = pattern.replace(rf"\{{{slot}\}}", f"(?P<{slot}>[a-z]+)")
        return re.compile(pattern)

    return tuple((reader(edge), reader(question)) for edge, question in ORDERS)


def parse_brevo(prompt: str) -> tuple[list[tuple[str, str]], str] | None:
    """The edges and what is asked for in a prompt's last question; None where it asks nothing."""
    for edge, question in _readers():
        asked = list(question.finditer(prompt))
        if asked:
            start = asked[-2].end() if len(asked) > 1 else 0
            told = edge.finditer(prompt, start, asked[-1].start())
            return [(m["a"], m["b"]) for m in told], asked[-1]["q"]
    return None


def named_people(prompt: str) -> set[str]:
    """The people that a prompt names."""
    return set(re.findall(r"[A-Z][a-z]+", prompt)) & set(PEOPLE)
