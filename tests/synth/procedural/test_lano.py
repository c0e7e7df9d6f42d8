"""Lano: the parser against a bottom-up one, on sentences, changed sentences and noise."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from scipy.stats import chisquare

from gristmill.errors import RecipeError
from synth.procedural import lano
from synth.procedural.sample import Draws


def bottom_up(sentence: str, grammar: str) -> bool:
    """Every span of every symbol, level by level from the letters up."""
    below = [
        {(i, i + 1) for i, letter in enumerate(sentence) if letter == terminal}
        for terminal in lano.TERMINALS
    ]
    for level in reversed(lano.rules(grammar)):
        starts = [{a: {e for s, e in spans if s == a} for a, _ in spans} for spans in below]
        above: list[set[tuple[int, int]]] = []
        for symbol in level:
            found: set[tuple[int, int]] = set()
            for rule in symbol:
                for begin, ends in starts[rule[0]].items():
                    for child in rule[1:]:
                        ends = {e for middle in ends for e in starts[child].get(middle, ())}
                    found |= {(begin, end) for end in ends}
            above.append(found)
        below = above
    return (0, len(sentence)) in below[0]


def changed(sentence: str, rng: Random) -> str:
    at = rng.randrange(len(sentence))
    kind = rng.choice(("replace", "insert", "delete", "swap"))
    letter = rng.choice(lano.TERMINALS.replace(sentence[at], ""))
    if kind == "replace":
        return sentence[:at] + letter + sentence[at + 1 :]
    if kind == "insert":
        return sentence[:at] + letter + sentence[at:]
    if kind == "delete":
        return sentence[:at] + sentence[at + 1 :]
    return sentence[:at] + sentence[at : at + 2][::-1] + sentence[at + 2 :]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> str:
    """The last three levels of cfg3f, from its symbol 13 down: 8 to 27 letters."""
    lines = "\n".join(lano.PUBLISHED["cfg3f"].split("\n")[-3:])
    monkeypatch.setitem(lano.PUBLISHED, "short", "\n" + lines)
    lano.rules.cache_clear()
    return "short"


def test_short_sentences_and_noise(short: str) -> None:
    rng, valid = Random(0), 0
    for number in range(150):
        sentence = lano.derive(Draws(0, "short", number), lano.rules(short))
        assert lano.valid(sentence, short) and bottom_up(sentence, short)
        other = changed(changed(sentence, rng), rng)
        assert lano.valid(other, short) == bottom_up(other, short)
        noise = "".join(rng.choice("abc") for _ in range(rng.randint(6, 28)))
        assert lano.valid(noise, short) == bottom_up(noise, short)
        valid += lano.valid(other, short)
    assert 0 < valid < 150


@pytest.mark.parametrize("grammar", sorted(lano.PUBLISHED))
def test_whole_sentences_and_changed_ones(grammar: str) -> None:
    rng, wrong = Random(1), 0
    for number in range(6):
        one = lano.generate(1, number, grammar=grammar)
        sentence = one.text.replace(" ", "")
        assert lano.valid(sentence, grammar)
        for _ in range(2):
            other = changed(sentence, rng)
            assert lano.valid(other, grammar) == bottom_up(other, grammar)
            wrong += not lano.valid(other, grammar)
    assert wrong


@pytest.mark.parametrize("grammar", sorted(lano.PUBLISHED))
def test_grammars_are_layered_and_complete(grammar: str) -> None:
    levels = lano.rules(grammar)
    assert len(levels) == (6 if grammar in ("cfg3b", "cfg3f") else 7) and len(levels[0]) == 1
    for above, below in zip(levels, [*levels[1:], [[]] * 3], strict=True):
        used = {child for symbol in above for rule in symbol for child in rule}
        assert used <= set(range(len(below))) and len(below) == 3
        assert all(len(rule) in (2, 3) for symbol in above for rule in symbol)
        assert all(len(set(symbol)) == len(symbol) >= 2 for symbol in above)


def test_rules_are_equally_likely() -> None:
    counts: Counter[int] = Counter()
    rules = [[[(0, 0), (1, 1), (2, 2), (0, 1)]]]
    for number in range(2000):
        word = lano.derive(Draws(0, "rules", number), rules)
        counts[("aa", "bb", "cc", "ab").index(word)] += 1
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_verifier_takes_any_sentence_that_begins_as_the_prompt() -> None:
    one = lano.generate(2, 0, prefix=50)
    assert len(one.prompt.split(" ")) == 50 and one.text == f"{one.prompt} {one.answer}"
    assert lano.verify(one.answer, one.answer, one.prompt) == 1
    assert lano.verify(one.answer.replace(" ", "\n"), "", one.prompt) == 1
    assert lano.verify(one.answer[:-2], one.answer, one.prompt) == 0
    other = lano.generate(2, 1)
    assert lano.verify(other.text, one.answer, "") == 1
    for wrong in ("", "a b c", "abd", "x" * 100, "a " * 200):
        assert lano.verify(wrong, one.answer, one.prompt) == 0


def test_unknown_grammar_gives_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'cfg3"):
        lano.Lano(grammar="cfg3x")
