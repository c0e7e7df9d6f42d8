"""Invented people for Capo: names, birth dates, places, studies and work, all out of syllables.

In: a seed and a person's number. Out: a Person; no two of one seed share a name.
Shown by: `python -m synth.procedural capo`.
Limit: 160 million names, after which a seed has no further person.

Sizes are those of Physics of Language Models 3.1 and 3.3: 400 first, 400 middle and 1,000 last
names; 12 x 28 x 200 dates, 200 cities, 300 universities, 100 fields, 263 employers, whose city is
that of the work. The lists themselves are ours, made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd, log, log2

from gristmill.rng import derive_seed
from synth.procedural.sample import SYLLABLES, Draws

FIRST, MIDDLE, LAST = 400, 400, 1000
NAMES = FIRST * MIDDLE * LAST
DAYS, YEARS, CITIES, UNIVERSITIES, FIELDS, EMPLOYERS = 28, range(1900, 2100), 200, 300, 100, 263
MONTHS = (
    "January February March April May June July August September October November December".split()
)
# What one person is, beyond the name: gender, date, city, university, field, employer.
VALUES = 2 * 12 * DAYS * len(YEARS) * CITIES * UNIVERSITIES * FIELDS * EMPLOYERS  # 47.6 bits
ATTRIBUTES = ("birth date", "birth city", "university", "field", "employer", "work city")
_TOWNS = ("ton", "vale", "ford", "mere", "wick", "holm", "burg", "stead", "port", "field")
_FIRMS = ("Works", "Systems", "Foods", "Freight", "Textiles", "Energy", "Instruments", "Press")
_SUBJECTS = (
    "Acoustics Archaeology Astronomy Botany Chemistry Economics Geology Geography History Law "
    "Linguistics Mechanics Medicine Music Optics Philosophy Physics Poetics Statistics Zoology"
).split()
_BRANCHES = ("Applied", "Comparative", "Experimental", "General", "Theoretical")


@dataclass(frozen=True, slots=True)
class Person:
    """One of them. values: of ATTRIBUTES, in that order."""

    name: str
    pronoun: str
    values: tuple[str, ...]


@lru_cache
def invented(kind: str, count: int, ends: tuple[str, ...]) -> tuple[str, ...]:
    """`count` different words: two syllables and an ending; the same for every seed."""
    draws, found = Draws(0, f"capo {kind}"), dict[str, None]()
    while len(found) < count:
        word = draws.choice(SYLLABLES) + draws.choice(SYLLABLES) + draws.choice(ends)
        found[word.capitalize()] = None
    return tuple(found)


@lru_cache
def lists() -> dict[str, tuple[str, ...]]:
    """Every list of values."""
    cities = invented("city", CITIES, _TOWNS)
    seats = invented("seat", 100, _TOWNS)
    forms = ("University of {}", "{} College", "{} Institute of Technology")
    firms = invented("firm", EMPLOYERS, ("", "x", "co", "tek"))
    return {
        "first": invented("first", FIRST, ("n", "l", "ra", "s", "th")),
        "middle": invented("middle", MIDDLE, ("", "r", "ne", "m", "la")),
        "last": invented("last", LAST, ("son", "er", "man", "ley", "ski", "ner")),
        "city": cities,
        "university": tuple(form.format(seat) for form in forms for seat in seats),
        "field": tuple(f"{b} {subject}" for b in _BRANCHES for subject in _SUBJECTS),
        "employer": tuple(f"{firm} {_FIRMS[i % len(_FIRMS)]}" for i, firm in enumerate(firms)),
        "seat of employer": tuple(cities[i * 7 % CITIES] for i in range(EMPLOYERS)),
    }


@lru_cache(maxsize=4096)
def shuffle_of(seed: int, size: int, name: str) -> tuple[int, int]:
    """(a, b) of a bijection i -> a*i + b of range(size)."""
    step = derive_seed(seed, "capo", name, "step") % size | 1
    while gcd(step, size) > 1:
        step += 2
    return step % size, derive_seed(seed, "capo", name, "start") % size


def person(seed: int, number: int) -> Person:
    """The person of a number; NAMES of them have different names."""
    known = lists()
    step, start = shuffle_of(seed, NAMES, "names")
    name = (step * number + start) % NAMES
    draws = Draws(seed, "capo person", number)
    month, employer = draws.choice(MONTHS), draws.below(EMPLOYERS)
    full = (
        known["first"][name % FIRST],
        known["middle"][name // FIRST % MIDDLE],
        known["last"][name // FIRST // MIDDLE],
    )
    values = (
        f"{month} {draws.between(1, DAYS)}, {draws.choice(YEARS)}",
        draws.choice(known["city"]),
        draws.choice(known["university"]),
        draws.choice(known["field"]),
        known["employer"][employer],
        known["seat of employer"][employer],
    )
    return Person(" ".join(full), draws.choice(("He", "She")), values)


def learned_bits(people: int, name_loss: float, value_loss: float) -> float:
    """Bits of knowledge that a model holds, at least (Physics of Language Models 3.3).

    name_loss, value_loss: -log p in nats of a whole name, and of all values of a person given the
    name, averaged over people. Divided by the number of parameters it is the paper's capacity.
    """
    return people * (log2(NAMES) + log2(VALUES) - (name_loss + value_loss) / log(2))
