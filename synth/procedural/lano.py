"""Lano: hierarchical structure. Sentences of a layered grammar; a parser says whether one is valid.

In: parameters and a row number. Out: a Sample: the sentence, or its start and its rest.
Shown by: `python -m synth.procedural lano`.
Limit: a sentence is valid or not; how near a wrong one is is not told.

Source: the grammars cfg3b, cfg3f (Physics of Language Models 1, arXiv 2305.13673), cfg3j and cfg3k
(4.1, arXiv 2512.17351) as their authors published them: every rule of a symbol is as likely as
the others. Terminals 1 2 3 are spelled a b c. Sentences of cfg3k have about 360 symbols.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

from pydantic import Field, field_validator

from gristmill.errors import RecipeError, nearest
from synth.procedural.sample import Draws, Parameters, Sample

TERMINALS = "abc"
# A line a level, from the root down: for each symbol (/) its rules, whose digits name symbols of
# the next level. `12 102` at the root of cfg3f: 22 -> 20 21 and 22 -> 20 19 21.
PUBLISHED = {
    "cfg3b": """
        21 10
        012 120 / 102 01 / 20 021
        20 021 / 102 201 / 210 10
        12 21 / 102 012 / 210 120
        021 210 / 102 012 / 120 201
        20 012 / 21 201 / 210 10""",
    "cfg3f": """
        12 102 200 11
        202 12 22 / 00 01 102 / 21 10 012 02
        22 020 10 11 / 210 12 21 / 120 200 02
        12 212 021 / 02 202 21 022 / 011 110 00 221
        122 202 022 / 11 20 200 / 020 21 112
        110 211 201 21 / 200 01 220 / 010 22 00""",
    "cfg3j": """
        00 10 212
        01 002 100 / 201 21 011 / 00 120 022
        110 022 01 / 111 22 212 / 20 011 020
        12 02 22 / 11 222 21 / 102 001 01
        02 20 11 / 01 210 011 / 122 00 12
        002 10 21 / 011 22 11 / 001 100 211
        01 11 221 / 20 12 001 / 210 02 21""",
    "cfg3k": """
        01 22 21
        20 211 22 02 / 121 122 11 01 / 21 12 002
        120 20 202 221 / 111 02 110 210 / 21 020 100 122
        21 12 212 100 / 121 200 22 / 11 20 011
        022 112 22 / 01 011 100 11 / 21 00 12
        00 11 220 020 / 102 000 010 / 01 110 202 12
        22 020 10 / 12 001 20 011 / 022 11 000 212""",
}
Rules = list[list[list[tuple[int, ...]]]]  # [level][symbol]: its right-hand sides


class Lano(Parameters):
    """`lano: {grammar: cfg3k, prefix: 50}`."""

    TASK: ClassVar[str] = "lano"
    grammar: str = "cfg3f"
    prefix: int = Field(default=0, ge=0)  # symbols that the prompt shows; 0 and 50 in Part 1

    @field_validator("grammar")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in PUBLISHED:
            raise RecipeError(f"grammar is {name!r}{nearest(name, PUBLISHED)}")
        return name


@lru_cache
def rules(grammar: str) -> Rules:
    """The rules of a published grammar."""
    return [
        [[tuple(map(int, rule)) for rule in symbol.split()] for symbol in line.split("/")]
        for line in PUBLISHED[grammar].split("\n")[1:]
    ]


def derive(draws: Draws, levels: Rules) -> str:
    """A sentence: every symbol is replaced by one of its rules, level by level."""
    uniform, line = draws.uniform, [0]
    for level in levels:
        below: list[int] = []
        for symbol in line:
            options = level[symbol]
            below += options[int(uniform() * len(options))]
        line = below
    return "".join([TERMINALS[symbol] for symbol in line])


def valid(sentence: str, grammar: str) -> bool:
    """Whether the grammar has the sentence (letters without spaces): exact, by dynamic programming.

    For each symbol and place, the places where it may end, as the bits of one number; each is found
    once. A layered grammar has no recursion, so the work is at most places x rules x ends.
    """
    levels = rules(grammar)
    depth, size = len(levels), len(sentence)
    if not 2**depth <= size <= 3**depth or set(sentence) - set(TERMINALS):
        return False
    seen: list[list[list[int]]] = [[[-1] * size for _ in level] for level in levels]
    leaves = [TERMINALS.index(letter) for letter in sentence]

    def ends(level: int, symbol: int, start: int) -> int:
        if start >= size:
            return 0
        if level == depth:
            return 2 << start if leaves[start] == symbol else 0
        known = seen[level][symbol][start]
        if known >= 0:
            return known
        found = 0
        for rule in levels[level][symbol]:
            places = ends(level + 1, rule[0], start)
            for child in rule[1:]:
                after = 0
                while places:
                    lowest = places & -places
                    places ^= lowest
                    after |= ends(level + 1, child, lowest.bit_length() - 1)
                places = after
            found |= places
        seen[level][symbol][start] = found
        return found

    return bool(ends(0, 0, 0) >> size & 1)


def sample(draws: Draws, given: Lano) -> Sample:
    """One sentence."""
    sentence = derive(draws, rules(given.grammar))
    text, shown = " ".join(sentence), min(given.prefix, len(sentence) - 1)
    prompt = " ".join(sentence[:shown])
    meta: dict[str, Any] = {"grammar": given.grammar, "length": len(sentence)}
    verifier = f"lano.{given.grammar}"
    return Sample(prompt, " ".join(sentence[shown:]), text, ((0, len(text)),), verifier, meta)


def generate(seed: int, number: int = 0, **parameters: Any) -> Sample:
    """The sample of a row number."""
    return sample(Draws(seed, "lano", number), Lano(**parameters))


def verify(completion: str, answer: str, prompt: str = "", grammar: str = "cfg3f") -> float:
    """1.0 where prompt and completion together are a sentence; `answer` is one of many right ones.

    Spaces and line ends between symbols do not count; anything else is wrong.
    """
    return float(valid("".join(f"{prompt} {completion}".split()), grammar))
