"""Resampling draws in proportion to exp(weight), the same for the same seed."""

from __future__ import annotations

import math
from collections import Counter
from itertools import permutations

import pytest

from synth.items import Item
from synth.ops import parse_op
from tests.synth.by_hand import lost, row, samples, score

WEIGHTS = [-700.0, -701.0, -702.5, -699.5, -math.inf]
DRAWS = 20_000


def probabilities() -> list[float]:
    masses = [math.exp(weight + 700) for weight in WEIGHTS]
    return [mass / sum(masses) for mass in masses]


def weighted() -> list[Item]:
    return samples(*({"w": weight} for weight in WEIGHTS))


def close(found: float, expected: float, draws: int = DRAWS) -> bool:
    return abs(found - expected) <= 4 * math.sqrt(expected * (1 - expected) / draws)


@pytest.mark.parametrize("replace", [False, True])
def test_one_draw_has_probability_softmax(replace: bool) -> None:
    op = parse_op({"select": {"resample": {"by": "w", "replace": replace}}})
    items = weighted()
    counts = Counter(op.plain(items, row(f"r{number}"))[0].path[0] for number in range(DRAWS))
    assert all(close(counts[i] / DRAWS, p) for i, p in enumerate(probabilities()))
    assert counts[4] == 0


def test_draws_without_replacement_have_plackett_and_luce_probabilities() -> None:
    op = parse_op({"select": {"resample": {"by": "w", "n": 2}}})
    items, p = weighted(), probabilities()
    counts = Counter(
        tuple(item.path[0] for item in op.plain(items, row(f"r{number}")))
        for number in range(DRAWS)
    )
    for first, second in permutations(range(4), 2):
        expected = p[first] * p[second] / (1 - p[first])
        assert close(counts[first, second] / DRAWS, expected)


def test_draws_with_replacement_are_independent() -> None:
    op = parse_op({"select": {"resample": {"by": "w", "n": 2, "replace": True}}})
    items, p = weighted(), probabilities()
    counts = Counter(
        tuple(item.path[0] for item in op.plain(items, row(f"r{number}")))
        for number in range(DRAWS)
    )
    for first in range(4):
        for second in range(4):
            assert close(counts[first, second] / DRAWS, p[first] * p[second])
    drawn = op.plain(items, row())
    assert [item.path[1:] for item in drawn] == [(0,), (1,)]  # two items, though of one text


def test_the_same_seed_draws_the_same_and_a_lost_item_changes_no_other_draw() -> None:
    resample = {"select": {"resample": {"by": "w", "n": 3}}}
    for number in range(50):
        first = [item.path for item in score(resample, weighted(), row(f"r{number}"))]
        assert [item.path for item in score(resample, weighted()[::-1], row(f"r{number}"))] == first
        unpicked = next(path for path in [(0,), (1,), (2,), (3,)] if path not in first)
        rest = [item for item in weighted() if item.path != unpicked]
        assert [item.path for item in score(resample, rest, row(f"r{number}"))] == first


def test_what_is_not_drawn_is_told() -> None:
    of = row()
    items = [*weighted(), *samples({"w": None})]
    assert len(score({"select": {"resample": {"by": "w", "n": 3}}}, items, of)) == 3
    reasons = sorted(reason for _, reason in lost(of))
    assert reasons == ["missing", "resample.drawn", "resample.zero"]
    assert score({"select": {"resample": "w"}}, samples({"w": -math.inf})) == []
