"""Best of n, of a committee, of groups, by vote."""

from __future__ import annotations

from typing import Any

import pytest

from gristmill.errors import RecipeError
from synth.items import Item
from synth.ops import parse_op
from synth.select.best import normal
from tests.synth.by_hand import lost, row, samples, score


def paths(items: list[Item]) -> list[int]:
    return [item.path[0] for item in items]


def scored(*values: Any) -> list[Item]:
    return samples(*({"reward": value} for value in values))


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, [1]),
        ({"n": 2}, [1, 3]),
        ({"n": 9}, [0, 1, 2, 3]),
        ({"lowest": True}, [2]),
        ({"lowest": True, "n": 3}, [0, 1, 2]),
    ],
)
def test_best_of_n_ties_to_the_earlier(options: dict[str, Any], kept: list[int]) -> None:
    of = row()
    items = scored(1, 2.5, -3, 2.5)
    best = {"select": {"best": {"by": "reward", **options}}}
    assert paths(score(best, items, of)) == kept
    assert len(of.lost) == 4 - len(kept) and not any(one.failed for one in of.lost)
    backwards = paths(score(best, items[::-1]))
    assert sorted(backwards) == kept  # whatever order they come in


def test_what_is_lost_tells_by_how_much() -> None:
    of = row()
    score({"select": {"best": "reward"}}, scored(1, 4), of)
    (one,) = of.lost
    assert (one.reason, one.value, one.threshold) == ("best.reward", 1, 4)


def test_a_committee_by_group() -> None:
    items = samples(
        *({"engine": e, "reward": r} for e, r in [("a", 1), ("b", 5), ("a", 3), ("b", 4)])
    )
    assert paths(score({"select": {"best": {"by": "reward"}}}, items)) == [1]
    by_engine = {"select": {"best": {"by": "reward", "group_by": "engine"}}}
    assert paths(score(by_engine, items)) == [1, 2]


def test_no_score_is_a_failure() -> None:
    of = row()
    assert paths(score({"select": {"best": "reward"}}, scored(None, 1, float("nan")), of)) == [1]
    assert lost(of) == [("select.best", "missing")] * 2


def test_votes() -> None:
    of = row()
    answers = ["12", "7", "12.0", None, " 12.", "7", "eleven"]
    items = samples(*({"answer": a, "reward": i} for i, a in enumerate(answers)))
    found = score({"select": {"best": {"vote": "answer"}}}, items, of)
    assert paths(found) == [0, 2, 4] and {item.fields["agreement"] for item in found} == {0.5}
    assert lost(of).count(("select.best", "vote.answer")) == 3
    assert lost(of).count(("select.best", "missing")) == 1
    found = score({"select": {"best": {"vote": "answer", "by": "reward"}}}, items)
    assert paths(found) == [4]
    tied = samples({"answer": "b"}, {"answer": "a"}, {"answer": "A"}, {"answer": "b"})
    assert paths(score({"select": {"best": {"vote": "answer", "n": 1}}}, tied)) == [0]


def test_answers_are_compared_as_numbers_and_plain_text() -> None:
    assert normal("1,234,567.50") == normal(1234567.5) and normal("$12") == normal(12)
    assert normal(" New  York ") == normal("new york.") and normal("1,5") != normal("15")
    assert len({normal(v) for v in ("inf", "nan", "1e3", "-0.5", "0.5", "")}) == 6


def test_errors_name_the_fix() -> None:
    with pytest.raises(RecipeError, match="best needs `by`"):
        parse_op({"select": {"best": {"n": 2}}})
    with pytest.raises(RecipeError, match="n is 0"):
        parse_op({"select": {"best": {"by": "x", "n": 0}}})
