"""The worded tasks: each wording says the same as the bare task, and its verifier reads prose."""

from __future__ import annotations

import re
from itertools import permutations

import pytest

from gristmill.errors import RecipeError
from synth.procedural import worded
from synth.procedural.tasks import generate
from synth.verify import VERIFIERS


def test_every_wording_occurs() -> None:
    prompts = [generate("worded_depo", 0, i).prompt for i in range(200)]
    for edge, _, _ in worded.CYCLES:
        piece = max(re.split(r"\{\w\}", edge), key=len)
        assert any(piece in prompt for prompt in prompts)
    styles = {generate("worded_mano", 0, i).meta["style"] for i in range(50)}
    assert styles == {"infix", "spoken", "steps"}


def test_mano_in_brackets_and_in_steps_equals_pythons() -> None:
    for number in range(300):
        one = generate("worded_mano", 1, number, length=6)
        if one.meta["style"] == "infix":
            bare = one.prompt.replace("modulo 23", "").replace("divided by 23", "")
            (expression,) = re.findall(r"\(*\d[\d() +*-]*", bare)
            assert str(eval(expression) % 23) == one.answer
        elif one.meta["style"] == "steps":
            names: dict[str, int] = {}
            lines = one.prompt.partition(". ")[0].removeprefix("Let ").split(", ")
            for line in lines:
                name, _, value = line.partition(" = ")
                names[name] = eval(value, {}, names)
            assert str(names[name] % 23) == one.answer
        assert VERIFIERS["number"](f"It is {one.answer}.", one.answer, one.prompt) == 1


def test_depo_told_in_words_is_a_walk() -> None:
    for number in range(200):
        one = generate("worded_depo", 2, number)
        for edge, question, _ in worded.CYCLES:
            pattern = re.escape(edge).replace(r"\{a\}", r"(\w+)").replace(r"\{b\}", r"(\w+)")
            edges = dict(re.findall(pattern, one.prompt))
            if edges:
                asked = re.escape(question).replace(r"\{a\}", r"(\w+)")
                asked = asked.replace(r"\{count\}", rf"{one.meta['hops']} \w+")
                (here,) = re.findall(asked, one.prompt)
                break
        for _ in range(one.meta["hops"]):
            here = edges[here]
        assert here == one.answer and len(edges) == one.meta["n"]


def test_depo_verifier_reads_the_conclusion() -> None:
    one = generate("worded_depo", 3, 1)
    other = next(p for p in sorted(worded.named_people(one.prompt)) if p != one.answer)
    check = VERIFIERS["worded_depo"]
    for right in (
        one.answer,
        f"{one.answer}.",
        f"First {other}, then {one.answer}.\n\nThe answer is {one.answer}.",
        f"**{one.answer}**",
        f"It is \\boxed{{{one.answer}}}",
    ):
        assert check(right, one.answer, one.prompt) == 1
    for wrong in ("", other, f"{other} or {one.answer}", f"{one.answer}\nno, {other}", "Nobody."):
        assert check(wrong, one.answer, one.prompt) == 0
    assert check(one.answer, one.answer) == 1 and check("", "", "") == 0


def test_brevo_verifier_takes_every_valid_order_in_words() -> None:
    check, several = VERIFIERS["worded_brevo"], 0
    for number in range(60):
        one = generate("worded_brevo", 4, number, nodes=6)
        problem = worded.parse_brevo(one.prompt)
        assert problem is not None
        edges, asked = problem
        assert len(edges) == one.meta["edges"] and one.answer.split(", ")[-1] == asked
        wanted = one.answer.split(", ")
        right = 0
        for order in permutations(wanted):
            place = {part: i for i, part in enumerate(order)}
            valid = all(place[a] < place[b] for a, b in edges if b in place)
            assert check(f"Sure.\n{', then the '.join(order)}.", "", one.prompt) == float(valid)
            right += valid
        several += right > 1
        parts = sorted({part for edge in edges for part in edge} - set(wanted))
        for wrong in ([*parts[:1], *wanted] if parts else [], wanted[:-1], [*wanted, wanted[0]]):
            assert check(", ".join(wrong), one.answer, one.prompt) == 0
        assert check(one.answer, one.answer) == 1
    assert several > 10


def test_an_earlier_example_in_the_prompt_does_not_count() -> None:
    first, second = (generate("worded_brevo", 5, i) for i in (0, 1))
    prompt = f"{first.text}\n\n{second.prompt}"
    assert VERIFIERS["worded_brevo"](second.answer, "", prompt) == 1


def test_too_many_people_are_refused() -> None:
    with pytest.raises(RecipeError, match="nodes is 99"):
        generate("worded_depo", 0, nodes=99)
