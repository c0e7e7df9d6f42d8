"""Depo: answers by following edges one by one, sizes by the published formula, names, tokens."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from scipy.stats import chisquare

from gristmill.errors import RecipeError
from synth.procedural import depo
from synth.procedural.sample import Draws, Sizes

SEEDS = range(60)


def walk(text: str, k: int, start: str) -> str:
    """The slow way: look for the edge out of a vertex, k times."""
    edges = [edge.split(" ") for edge in text.split("\n")[0].split(" ; ")]
    for _ in range(k):
        start = next(b for a, b in edges if a == start)
    return start


@pytest.mark.parametrize("variant", [1, 2])
def test_every_answer_is_k_steps_on(variant: int) -> None:
    for number in SEEDS:
        one = depo.generate(3, number, variant=variant, nodes=30)
        lines = one.text.split("\n")[1:]
        assert len(lines) == min(10, one.meta["n"]) == len(one.spans)
        starts = []
        for line, (begin, end) in zip(lines, one.spans, strict=True):
            mark, k, start, equals, answer = line.split(" ")
            assert (mark, equals) == ("?", "=")
            assert walk(one.text, int(k), start) == answer == one.text[begin:end]
            assert 1 <= int(k) <= {1: 8, 2: 16}[variant]
            starts.append(start)
        assert len(set(starts)) == len(starts)
        assert one.text == f"{one.prompt} {one.answer}"
        assert depo.solve(one.prompt) == one.answer


def test_the_edges_are_one_cycle_in_a_random_order() -> None:
    orders = set()
    for number in SEEDS:
        one = depo.generate(0, number, nodes=12)
        edges = dict(e.split(" ") for e in one.text.split("\n")[0].split(" ; "))
        assert len(edges) == one.meta["n"] and set(edges) == set(edges.values())
        here, seen = next(iter(edges)), set[str]()
        while here not in seen:
            seen.add(here)
            here = edges[here]
        assert seen == set(edges)
        orders.add(tuple(edges))
    assert len(orders) == len(SEEDS)


@pytest.mark.parametrize("law", ["paper", "released"])
def test_sizes_follow_the_published_distribution(law: Sizes) -> None:
    largest, count = 40, 20_000
    sizes = Counter(Draws(5, "sizes", number).size(largest, law) for number in range(count))
    formula = {
        "paper": lambda n: 1 / math.sqrt(largest + n),
        "released": lambda n: 1 / (math.sqrt(largest) + n),
    }[law]
    weights = [formula(n) for n in range(3, largest + 1)]
    expected = [count * w / sum(weights) for w in weights]
    seen = [sizes[n] for n in range(3, largest + 1)]
    assert sum(seen) == count
    assert chisquare(seen, expected).pvalue > 1e-3


def test_samples_use_the_distribution() -> None:
    def mean(law: Sizes) -> float:
        return sum(depo.generate(1, i, nodes=60, sizes=law).meta["n"] for i in range(600)) / 600

    assert abs(mean("paper") - 29.9) < 2.5 and abs(mean("released") - 22.8) < 2.5


def test_hops_are_uniform() -> None:
    hops = Counter(k for i in range(1500) for k in depo.generate(1, i, nodes=20).meta["hops"])
    assert chisquare([hops[k] for k in range(1, 9)]).pvalue > 1e-3


@pytest.mark.parametrize("variant, alphabet, sizes", [(1, 50, {1, 2}), (2, 4, {5, 6, 7})])
def test_bare_tokens_say_the_same(variant: int, alphabet: int, sizes: set[int]) -> None:
    one = depo.generate(2, 7, variant=variant, nodes=40, tokens=True)
    tokens, hops = one.meta["tokens"], {1: 8, 2: 16}[variant]
    base = depo.ANSWER + hops + 1
    assert (tokens[0], tokens[-1]) == (depo.BOS, depo.EOS)

    def names(part: list[int]) -> list[tuple[int, ...]]:
        found, name = [], list[int]()
        for token in part:
            assert base <= token < base + 2 * alphabet
            name.append(token)
            if token >= base + alphabet:  # the last of a name
                found.append(tuple(name))
                name = []
        assert not name
        return found

    first = next(i for i, token in enumerate(tokens[1:], 1) if token < base)
    vertices = names(tokens[1:first])
    edges = dict(zip(vertices[::2], vertices[1::2], strict=True))
    assert {len(name) for name in vertices} <= sizes and len(edges) == one.meta["n"]
    for (begin, end), k in zip(one.meta["answers"], one.meta["hops"], strict=True):
        asked = begin - 2
        while tokens[asked] >= base:
            asked -= 1
        assert tokens[asked] == depo.ANSWER + k and tokens[begin - 1] == depo.ANSWER
        (here,) = names(tokens[asked + 1 : begin - 1])
        for _ in range(k):
            here = edges[here]
        assert names(tokens[begin:end]) == [here]


def test_verifier() -> None:
    one = depo.generate(1, 2)
    others = {name for edge in one.text.split("\n")[0].split(" ; ") for name in edge.split()}
    assert depo.verify(f" {one.answer}\n? 3 {one.answer} =", one.answer, one.prompt) == 1
    assert depo.verify(one.answer, "", one.prompt) == 1
    for wrong in [*(others - {one.answer}), "", f"{one.answer} {one.answer}", one.answer.upper()]:
        assert depo.verify(wrong, one.answer, one.prompt) == 0
        assert depo.verify(wrong, "", one.prompt) == 0
    assert depo.verify("x", "", "no prompt of ours") == 0
    assert depo.verify("x", "", "a b ; b\n? 999999 a =") == 0


def test_more_vertices_than_names_are_refused() -> None:
    with pytest.raises(RecipeError, match="names for 1275 vertices"):
        depo.Depo(nodes=5000)
