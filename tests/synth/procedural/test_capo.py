"""Capo: everybody is told equally often, the same facts every time, and no two share a name."""

from __future__ import annotations

from collections import Counter, defaultdict
from math import log, log2

import pytest

from synth.procedural import capo, people


def test_every_person_is_told_once_a_pass() -> None:
    samples = [capo.generate(1, i, people=30, exposures=4) for i in range(120)]
    told = Counter((s.meta["person"], s.meta["exposure"]) for s in samples)
    assert set(told) == {(p, e) for p in range(30) for e in range(4)}
    orders = {tuple(s.meta["person"] for s in samples[e * 30 : e * 30 + 30]) for e in range(4)}
    assert len(orders) == 4


def test_facts_stay_and_wordings_change() -> None:
    facts: defaultdict[int, set[object]] = defaultdict(set)
    texts: defaultdict[int, set[str]] = defaultdict(set)
    for i in range(100):
        one = capo.generate(2, i, people=5, exposures=20)
        who = people.person(2, one.meta["person"])
        found = {name: one.text[a:b] for name, (a, b) in one.meta["values"].items()}
        assert tuple(found[name] for name in people.ATTRIBUTES) == who.values
        assert who.name in one.text and one.text == one.answer and one.prompt == ""
        facts[one.meta["person"]].add(tuple(sorted(found.items())))
        texts[one.meta["person"]].add(one.text)
    assert all(len(values) == 1 for values in facts.values()) and len(facts) == 5
    assert all(len(told) == 20 for told in texts.values())


def test_nobody_shares_a_name_and_lists_have_the_published_sizes() -> None:
    assert len({people.person(3, n).name for n in range(20_000)}) == 20_000
    known = people.lists()
    sizes = {name: len(set(known[name])) for name in known if name != "seat of employer"}
    assert sizes == {
        "first": 400,
        "middle": 400,
        "last": 1000,
        "city": 200,
        "university": 300,
        "field": 100,
        "employer": 263,
    }
    assert people.VALUES == 2 * 12 * 28 * 200 * 200 * 300 * 100 * 263


def test_another_seed_has_other_people() -> None:
    assert {people.person(1, n).name for n in range(50)}.isdisjoint(
        people.person(2, n).name for n in range(50)
    )


def test_questions_have_the_facts_as_answers() -> None:
    asked = Counter[int]()
    for i in range(200):
        one = capo.generate(4, i, people=20, form="question")
        who = people.person(4, one.meta["person"])
        at = people.ATTRIBUTES.index(one.meta["attribute"])
        assert who.name in one.prompt and one.answer == who.values[at]
        ((begin, end),) = one.spans
        assert one.text[begin:end] == one.answer
        assert capo.verify(f" {one.answer}.\nHe", one.answer) == 1
        assert capo.verify(who.values[at - 1], one.answer) == 0
        asked[at] += 1
    assert len(asked) == 6 and capo.verify("", "") == 0


def test_learned_bits() -> None:
    count = 1000
    nothing = people.learned_bits(count, log(people.NAMES), log(people.VALUES))
    everything = people.learned_bits(count, log(count), 0.0)
    assert nothing == pytest.approx(0, abs=1e-6)
    assert everything == pytest.approx(
        count * (log2(people.NAMES / count) + log2(people.VALUES)), rel=1e-9
    )
