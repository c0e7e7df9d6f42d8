"""Haystacks: text without an end that says nothing of the needle, and the needles.

In: random numbers. Out: sentences; a fact, its question and its answer. Shown by: the samples of
`use: evaluate, tasks: [needle]`. Limit: English; the sentences are simple and alike in form.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

_WHO = (
    "the baker", "a tall gardener", "the young doctor", "our neighbour", "the old sailor",
    "a quiet teacher", "the farmer", "one of the painters", "a traveller", "the clerk",
    "a group of children", "the watchmaker", "her brother", "the night guard", "a shepherd",
    "the tailor",
)  # fmt: skip
_DID = (
    "walked along", "looked at", "talked about", "swept", "drew a picture of", "waited near",
    "remembered", "wrote a letter about", "measured", "went back to", "took a photograph of",
    "sat down by", "asked about", "dreamed of", "passed", "mended a part of",
)  # fmt: skip
_WHAT = (
    "the river", "a stone bridge", "the market square", "the wooden fence", "an apple tree",
    "the library", "the railway station", "a field of barley", "the lighthouse", "the mill",
    "a narrow street", "the orchard", "the school yard", "a boat with a red sail", "the well",
    "the garden wall",
)  # fmt: skip
_WHEN = (
    "before breakfast", "in the early evening", "while it rained", "on the way home",
    "without a word", "for a long time", "as every year", "when the wind fell", "after work",
    "on a cold morning", "with great care", "twice that week", "at noon", "in late summer",
    "until it was dark", "once again",
)  # fmt: skip
_PLACE = (
    "harbour", "castle", "museum", "theatre", "hospital", "chapel", "factory", "tower", "stable",
    "cellar", "tunnel", "palace", "workshop", "archive", "greenhouse", "observatory",
)  # fmt: skip
DIGITS = 5


@dataclass(frozen=True, slots=True)
class Needle:
    """A fact, the question that ends the context, the answer and wrong ones of its form."""

    fact: str
    question: str
    answer: str
    others: tuple[str, ...]


def sentence(random: Random) -> str:
    """One sentence, a space before it."""
    who, did, what, when = (_pick(random, words) for words in (_WHO, _DID, _WHAT, _WHEN))
    return f" {who.capitalize()} {did} {what} {when}."


def needle(random: Random, candidates: int) -> Needle:
    """A secret number of a place."""
    place = _pick(random, _PLACE)
    codes: list[str] = []
    while len(codes) < candidates:
        code = str(10 ** (DIGITS - 1) + int(random.random() * 9 * 10 ** (DIGITS - 1)))
        if code not in codes:
            codes.append(code)
    said = f"The secret number of the {place} is"
    return Needle(
        f" {said} {codes[0]}.",
        f" What is the secret number of the {place}? {said}",
        f" {codes[0]}",
        tuple(f" {code}" for code in codes[1:]),
    )


def _pick(random: Random, words: tuple[str, ...]) -> str:
    return words[int(random.random() * len(words))]  # the same for ever, as `choice` need not be
