"""Instructions that a program can check: each kind held and broken, and what is no constraint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gristmill.errors import RecipeError
from synth.verify.checks import KINDS
from synth.verify.constraints import (
    compiled,
    results,
    verify_constraints,
    verify_constraints_share,
)

TABLE: list[tuple[str, Any, str, str]] = [  # kind, options, a text that holds, one that does not
    ("words", {"max": 3}, "one two three", "one two three four"),
    ("words", 2, "a - b", "a b c"),
    ("characters", {"min": 5}, "12345", "1234"),
    ("sentences", 2, "It rains. Does it?", "It rains. Does it? Yes."),
    ("sentences", 1, "Version 2.5 is out", "One. Two"),
    ("paragraphs", 2, "a\n\nb", "a\nb"),
    ("lines", 2, "a\n\nb", "a"),
    ("bullets", {"min": 2}, "- a\n* b\nc", "- a\nb"),
    ("bullets", 2, "1. a\n2) b", "1.a\n2)b"),
    ("capital_words", {"max": 1}, "I am", "I AM"),
    ("placeholders", {"min": 1}, "Dear [name]", "Dear (name)"),
    ("highlights", {"min": 2}, "*a* and **b**", "*a* and b"),
    ("contains", ["tea", "green leaf"], "Green\nleaf TEA", "steam of green leaf"),
    ("excludes", "tea", "steam", "A Tea?"),
    ("repeats", {"text": "tea", "min": 2}, "tea and tea", "tea and steam"),
    ("letters", {"letter": "E", "max": 0}, "colours only in gray", "the end"),
    ("starts_with", "Dear", "  Dear Ada", "Hello, Dear Ada"),
    ("ends_with", ["Bye.", "Yours"], "So long. Yours\n", "Yours, Ada"),
    ("one_of", ["yes", "no"], " yes\n", "yes, sir"),
    ("case", "lower", "all small, 3 times", "All small"),
    ("case", "upper", "ALL BIG", "ALL bIG"),
    ("case", "title", "The Big Heat", "The big Heat"),
    ("language", "fr", "Il fait très beau aujourd'hui et nous sortons.", "It is a fine day today."),
    ("language", ["en", "de"], "It is a fine day today, isn't it?", "12345"),
    ("postscript", True, "Bye\nP.S. I forgot", "P.S. I forgot"),
    ("postscript", "P.P.S", "Bye\np.p.s. more", "Bye\nP.S. more"),
    ("paragraph_starts", {"number": 2, "word": "However"}, "a\n\nhowever, b", "However, a\n\nb"),
    ("json", True, '```json\n{"a": 1}\n```', "{a: 1}"),
    ("json", False, "text", "[1]"),
    ("quoted", True, '"So it is."', '"So" it is.'),
    ("title", True, "<<Rain>>\nIt falls.", "<Rain>\nIt falls."),
    ("commas", False, "no pause here", "a, b"),
]


@pytest.mark.parametrize("kind, options, held, broken", TABLE)
def test_each_kind(kind: str, options: Any, held: str, broken: str) -> None:
    spec = json.dumps({kind: options})
    assert verify_constraints(held, spec) == 1
    assert verify_constraints(broken, spec) == 0


def test_every_kind_is_in_the_table() -> None:
    assert {kind for kind, *_ in TABLE} | {"prompt_first"} == set(KINDS)


def test_prompt_first() -> None:
    spec = json.dumps({"prompt_first": True})
    assert verify_constraints("Why? Because.", spec, "Why?") == 1
    assert verify_constraints("Because.", spec, "Why?") == 0
    assert verify_constraints("Because.", spec, "") == 0


def test_all_and_share() -> None:
    spec = json.dumps([{"words": {"max": 3}, "case": "lower"}, {"contains": "x"}, {"words": 9}])
    assert verify_constraints("an x here", spec) == 0
    assert verify_constraints_share("an x here", spec) == 0.75
    assert results("an x here", spec) == [
        ("words", True),
        ("case", True),
        ("contains", True),
        ("words", False),
    ]


@pytest.mark.parametrize(
    "spec, told",
    [
        ("nothing", "they are JSON"),
        ("[]", "KIND: OPTIONS"),
        ("[{}]", "KIND: OPTIONS"),
        ('{"wrods": 3}', "did you mean 'words'"),
        ('{"words": "three"}', "give a number, or min and max"),
        ('{"words": true}', "give a number, or min and max"),
        ('{"words": {"least": 3}}', "give min, max or both"),
        ('{"words": {"min": -1}}', "whole numbers from 0"),
        ('{"words": {"min": 3, "max": 2}}', "nothing can be between"),
        ('{"contains": []}', "give a text"),
        ('{"contains": [""]}', "give a text"),
        ('{"case": "loewr"}', "did you mean 'lower'"),
        ('{"language": "english"}', "a language's code"),
        ('{"json": 1}', "give true or false"),
        ('{"repeats": {"min": 1}}', "give text"),
        ('{"letters": "e"}', "give letter"),
        ('{"paragraph_starts": {"number": 0, "word": "a"}}', "from 1"),
        ("[" * 100_000, "they are JSON"),
    ],
)
def test_what_is_no_constraint(spec: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        compiled(spec)
    assert verify_constraints("text", spec) == 0
    assert verify_constraints_share("text", spec) == 0
