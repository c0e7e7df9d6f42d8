"""Brevo: the verifier against every permutation, degrees, orders, tokens."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import pytest
from scipy.stats import chisquare

from gristmill.errors import RecipeError
from synth.procedural import brevo
from synth.procedural.sample import Draws


def reachable(edges: list[tuple[str, str]], asked: str) -> set[str]:
    """The slow way: add what is needed until nothing is new."""
    found = {asked}
    while True:
        more = found | {a for a, b in edges if b in found}
        if more == found:
            return found
        found = more


def valid(order: tuple[str, ...], edges: list[tuple[str, str]]) -> bool:
    place = {name: i for i, name in enumerate(order)}
    return all(place[a] < place[b] for a, b in edges if b in place)


@pytest.mark.parametrize("variant", [1, 2])
def test_exactly_the_topological_orders_of_what_is_needed_are_right(variant: int) -> None:
    several = 0
    for number in range(40):
        one = brevo.generate(1, number, variant=variant, nodes=7)
        problem = brevo.parse(one.prompt)
        assert problem is not None
        edges, asked = problem
        wanted = reachable(edges, asked)
        orders = list(permutations(sorted(wanted)))
        right = [order for order in orders if valid(order, edges)]
        several += len(right) > 1
        assert tuple(one.answer.split()) in right
        for order in orders:
            verdict = brevo.verify(" ".join(order), one.answer, one.prompt)
            assert verdict == float(order in right)
    assert several > 5


def test_planted_errors_are_wrong() -> None:
    for number in range(50):
        one = brevo.generate(4, number)
        order = one.answer.split()
        names = {name for edge in one.prompt.split("\n")[0].split(" ; ") for name in edge.split()}
        spare = sorted(names - set(order))
        wrong = [order[:-1], order[1:], [*order, order[-1]], [order[-1], *order[:-1]], []]
        wrong += [[*spare[:1], *order]] if spare else []
        for bad in wrong:
            assert brevo.verify(" ".join(bad), one.answer, one.prompt) == 0
        assert brevo.verify(f" {one.answer}\nmore", one.answer, one.prompt) == 1
        assert brevo.verify(one.answer, one.answer) == 1
        assert brevo.verify(" ".join(order[::-1]), one.answer) == 0


def test_degrees_and_acyclic() -> None:
    for number in range(80):
        one = brevo.generate(2, number)
        problem = brevo.parse(one.prompt)
        assert problem is not None
        edges, asked = problem
        assert len(edges) == len(set(edges)) == one.meta["edges"]
        into, out = Counter(b for _, b in edges), Counter(a for a, _ in edges)
        assert max(into.values()) <= 4 and max(out.values()) <= 4
        assert asked not in out  # nothing needs the vertex that is asked for
        left = set(into) | set(out)
        while left:  # take away what needs nothing, until nothing is left
            free = {v for v in left if not any(b == v and a in left for a, b in edges)}
            assert free
            left -= free


def test_every_order_is_drawn() -> None:
    needs = [[], [], [], [0, 1, 2]]
    drawn = Counter(
        tuple(brevo.an_order(Draws(0, "order", i), needs, {0, 1, 2, 3})) for i in range(3000)
    )
    assert len(drawn) == 6 and chisquare(list(drawn.values())).pvalue > 1e-3


def test_bare_tokens_say_the_same() -> None:
    one = brevo.generate(3, 5, variant=2, nodes=20, tokens=True)
    tokens = one.meta["tokens"]
    asked, answer = tokens.index(brevo.QUERY), tokens.index(brevo.ANSWER)
    ends = [t for t in tokens[1:asked] if t >= brevo.ANSWER + 1 + brevo.ALPHABET]
    assert len(ends) == 2 * one.meta["edges"]
    begin, end = one.meta["answers"][0]
    assert begin == answer + 1 and end == len(tokens) - 1 and tokens[-1] == brevo.EOS
    said = [t for t in tokens[begin:end] if t >= brevo.ANSWER + 1 + brevo.ALPHABET]
    assert len(said) == one.meta["needed"]


def test_more_vertices_than_names_are_refused() -> None:
    with pytest.raises(RecipeError, match="Brevo2 has names for 160"):
        brevo.Brevo(variant=2, nodes=161)
