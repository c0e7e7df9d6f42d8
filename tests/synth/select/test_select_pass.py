"""Pass: conditions on fields, each loss with its rule, value and limit."""

from __future__ import annotations

from typing import Any

import pytest

from gristmill.errors import RecipeError
from synth.ops import dump_ops, parse_op
from tests.synth.by_hand import lost, row, samples, score

ITEM = {"correct": True, "words": 30, "language": "en", "near": 0.2, "kind": "faq"}
CONDITIONS = {
    "correct": True,
    "words": {"min": 20, "max": 40},
    "language": ["en", "de"],
    "near": {"below": 0.7, "above": -1},
    "kind": "faq",
}


def test_an_item_that_meets_all_goes_on() -> None:
    of = row()
    found = score({"select": {"pass": CONDITIONS}}, samples(ITEM), of)
    assert [item.fields for item in found] == [ITEM] and not of.lost


@pytest.mark.parametrize(
    ("change", "rule", "value", "limit"),
    [
        ({"correct": False}, "correct.is", 0, 1),
        ({"words": 19}, "words.min", 19, 20),
        ({"words": 41.5}, "words.max", 41.5, 40),
        ({"language": "fr"}, "language.in", None, None),
        ({"near": 0.7}, "near.below", 0.7, 0.7),
        ({"near": -1}, "near.above", -1, -1),
        ({"kind": "table"}, "kind.is", None, None),
    ],
)
def test_each_loss_names_its_rule(
    change: dict[str, Any], rule: str, value: float, limit: float
) -> None:
    of = row()
    assert score({"select": {"pass": CONDITIONS}}, samples(ITEM | change), of) == []
    (one,) = of.lost
    assert (one.stage, one.reason, one.failed) == ("select.pass", rule, False)
    assert (one.value, one.threshold) == (value, limit)


@pytest.mark.parametrize("words", [None, float("nan"), "many", ...])
def test_no_value_is_a_failure(words: object) -> None:
    item = {k: v for k, v in ITEM.items() if k != "words"}
    if words is not ...:
        item["words"] = words
    of = row()
    assert score({"select": {"pass": CONDITIONS}}, samples(item, ITEM), of)[0].fields == ITEM
    assert [(one.reason, one.failed) for one in of.lost] == [("missing", True)]


def test_limits_themselves_pass_min_and_max() -> None:
    items = samples({"words": 20}, {"words": 40})
    assert score({"select": {"pass": {"words": {"min": 20, "max": 40}}}}, items) == items


def test_its_canonical_form_reads_back() -> None:
    op = parse_op({"select": {"pass": CONDITIONS | {"conditions": 3}}})
    (dumped,) = dump_ops([op])
    assert dumped["select.pass"]["words"] == {"min": 20, "max": 40}
    assert dump_ops([parse_op(dumped)]) == [dumped]
    other = parse_op({"select": {"pass": CONDITIONS | {"conditions": 4}}})
    assert dump_ops([other]) != [dumped]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "name a field"),
        ("correct", "pass is 'correct'; name a field"),
        ({"words": {"least": 3}}, "words is {'least': 3}; a range has numbers as min"),
        ({"words": {}}, "a range has"),
        ({"words": None}, "it takes a value"),
        ({"words": []}, "it takes a value"),
        ({"words": {"min": float("nan")}}, "finite"),
    ],
)
def test_errors_name_the_fix(options: Any, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        parse_op({"select": {"pass": options}})


def test_items_are_judged_alone() -> None:
    of = row()
    found = score({"select": {"pass": {"n": {"min": 2}}}}, samples({"n": 1}, {"n": 2}), of)
    assert [item.path for item in found] == [(1,)] and lost(of) == [("select.pass", "n.min")]
