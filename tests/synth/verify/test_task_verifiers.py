"""The register: names, nearest names, and that no verifier raises on any text."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.errors import RecipeError
from synth.procedural.tasks import TASKS, rows
from synth.verify import VERIFIERS, fault_of_answer, verifier, verifier_names

PIECES = [
    *("\\boxed{", "}", "$", "\\frac", "{1}", "1", ",", "/", "0", "-", "%", " ", "\n", "answer is"),
    *("####", "A", "(", ")", "a b", " ; ", "?", "=", "<2>", "+", "e9", "±", "```", '{"a":', "["),
]
TEXTS = st.text(max_size=300) | st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
SPECS = ['{"type": "object"}', '{"words": {"max": 3}}', '{"language": "en"}', '[{"case": "lower"}]']
IN_PROCESS = sorted(set(VERIFIERS) - {"maths"})  # maths asks another process: its own test


@settings(max_examples=150, deadline=None)
@given(completion=TEXTS, answer=TEXTS | st.sampled_from(SPECS), prompt=TEXTS)
def test_no_verifier_raises(completion: str, answer: str, prompt: str) -> None:
    for name in IN_PROCESS:
        assert 0.0 <= VERIFIERS[name](completion, answer, prompt) <= 1.0


@settings(max_examples=25, deadline=None)
@given(completion=TEXTS, answer=TEXTS)
def test_maths_never_raises(completion: str, answer: str) -> None:
    assert VERIFIERS["maths"](completion, answer) in (0.0, 1.0)


KEYS = ["type", "minimum", "multipleOf", "properties", "$ref", "$schema", "$id", "items", "enum"]
KEYS += ["words", "case", "contains", "language", "min", "max", "text", "repeats", "json"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(KEYS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(spec=VALUES, value=VALUES)
def test_odd_schemas_and_constraints_raise_nothing(spec: object, value: object) -> None:
    for name in ("json_schema", "constraints", "constraints.share"):
        assert 0.0 <= VERIFIERS[name](json.dumps(value), json.dumps(spec)) <= 1.0
        fault_of_answer(name, json.dumps(spec))


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{" * 20_000,
        "{" * 200_000,
        "answer is " * 20_000,
        "1," * 100_000,
        "a " * 100_000,
        "9" * 200_000,
        "<<" * 100_000,
        "*" * 100_000,
        "[" * 100_000,
        "\n" * 200_000,
        " " * 200_000,
        "." * 200_000,
        "```" * 60_000,
        "\ud800 x",
        "- " * 100_000,
    ],
    ids=lambda text: repr(text[:8]),
)
def test_long_and_odd_texts_end(text: str) -> None:
    every_check = json.dumps(
        {"sentences": 1, "bullets": 1, "paragraphs": 1, "highlights": 1, "title": True}
        | {"placeholders": 1, "contains": "x y", "language": "en", "postscript": True}
    )
    for name in IN_PROCESS:
        answer = every_check if name.startswith("constraints") else text[:50]
        assert VERIFIERS[name](text, answer, text) <= 1.0
        assert VERIFIERS[name](text, text, "") <= 1.0


@pytest.mark.parametrize("name", sorted(TASKS))
def test_other_rows_answers_are_mostly_wrong(name: str) -> None:
    drawn = list(rows(name, 40, 3))
    if name == "lano":  # another sentence of the grammar is as right
        return
    for one, other in itertools.pairwise(drawn):
        verdict = VERIFIERS[one["verifier"]](other["answer"], one["answer"], one["prompt"])
        assert verdict == float(one["answer"] == other["answer"])


def test_names() -> None:
    assert {row["verifier"] for name in TASKS for row in rows(name, 1, 0)} <= set(verifier_names())
    assert "code" in verifier_names() and verifier("maths") is VERIFIERS["maths"]
    with pytest.raises(RecipeError, match="did you mean 'maths'"):
        verifier("math")


def test_faults_of_specifications() -> None:
    assert fault_of_answer("maths", "anything") == ""
    assert fault_of_answer("constraints", '{"words": 3}') == ""
    assert "did you mean 'words'" in fault_of_answer("constraints.share", '{"wrods": 3}')
    assert "schema" in fault_of_answer("json_schema", "{")
