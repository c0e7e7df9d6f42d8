"""The tables of the datatrove dialect: what their generator makes, indexed without loss."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import pytest

from gristmill.text import english as e
from gristmill.text import generate_english
from gristmill.text.words import word_hash
from tests.gristmill.text.reference_english import exceptions, same_unicode, spacy_english


def test_every_exception_is_found_with_its_tokens_and_nothing_else() -> None:
    book = e.english().book
    rules = spacy_english().tokenizer.rules
    assert set(exceptions()) == {rule for rule in rules if not rule.isspace()}
    for rule in exceptions():
        value = np.uint64(word_hash(rule.encode()))
        assert e.in_bloom.py_func(book, 0, value)
        packed, lengths = int(book[e.PARTS + e.find_rule(book, value)]), []
        while packed:
            lengths.append(packed & 31)
            packed >>= 5
        assert lengths == [len(part[65].encode()) for part in rules[rule]]  # 65 = ORTH
    for word in ("mill", "grist", "", "Cannots"):
        assert e.find_rule(book, np.uint64(word_hash(word.encode()))) == -1


def test_units_are_found() -> None:
    book = e.english().book
    for tail in ("km", "m/s", "US$", "€", "+", "%", "км/ч"):
        assert e.is_tail(book, np.uint64(word_hash(tail.encode())))
    for word in ("kmx", "", "$$"):
        assert not e.is_tail(book, np.uint64(word_hash(word.encode())))


@same_unicode
def test_flags_are_pythons() -> None:
    flags = e.english().flags
    for name, has in (
        ("SPACE", str.isspace),
        ("LETTER", str.isalpha),
        ("UPPER", str.isupper),
        ("DIGIT", str.isdigit),
        ("DECIMAL", str.isdecimal),
    ):
        points = [p for p in range(0x110000) if not 0xD800 <= p < 0xE000 and has(chr(p))]
        assert np.flatnonzero(flags & np.uint32(getattr(e, name))).tolist() == points, name


def test_made_with_what_is_installed() -> None:
    made = e.made_with()
    assert f"datatrove {version('datatrove')}" in made and f"spacy {version('spacy')}" in made


@same_unicode
@pytest.mark.slow
def test_the_generator_makes_the_same_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, np.ndarray] = {}
    monkeypatch.setattr(np, "savez_compressed", lambda path, **arrays: made.update(arrays))
    generate_english.main()
    for name, stored in e._archive().items():
        if name != "made_with":
            np.testing.assert_array_equal(made[name], stored, name)
