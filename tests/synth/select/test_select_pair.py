"""Pairs: best and worst, passed and failed; none where there is nothing to tell them apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synth.items import Item, Made, item_id
from tests.synth.by_hand import lost, row, samples, score

PAIR = {"select": {"pair": {"by": "reward"}}}


def of_scores(*pairs: tuple[str, object]) -> list[Item]:
    return samples(*({"response": text, "reward": value, "id": "x"} for text, value in pairs))


def test_best_and_worst() -> None:
    of = row()
    (pair,) = score(PAIR, of_scores(("a", 1), ("b", 3), ("c", -0.5), ("d", 3)), of)
    assert pair.fields["chosen"] == "b" and pair.fields["rejected"] == "c"
    assert pair.fields["chosen_score"] == 3 and pair.fields["rejected_score"] == -0.5
    assert pair.fields["margin"] == 3.5 and pair.fields["id"] == "x"
    assert lost(of) == [("select.pair", "pair.between")] * 2


def test_passed_and_failed() -> None:
    (pair,) = score(PAIR, of_scores(("a", False), ("b", True), ("c", True), ("d", False)))
    assert (pair.fields["chosen"], pair.fields["rejected"]) == ("b", "a")
    assert pair.fields["margin"] == 1


@pytest.mark.parametrize(
    ("items", "rule"),
    [
        ([("a", 1)], "pair.alone"),
        ([("a", 1), ("b", 1)], "pair.tie"),
        ([("a", True), ("b", True), ("c", True)], "pair.tie"),
        ([("a b", 1), (" a\nb ", 0)], "pair.identical"),
        ([("a", 1), ("b", 0.75)], "pair.margin"),
    ],
)
def test_what_makes_no_pair_is_filtered(items: list[tuple[str, object]], rule: str) -> None:
    of = row()
    assert score({"select": {"pair": {"by": "reward", "margin": 0.5}}}, of_scores(*items), of) == []
    assert lost(of) == [("select.pair", rule)] * len(items)


def test_a_copy_of_the_best_is_never_its_rejected() -> None:
    of = row()
    (pair,) = score(PAIR, of_scores(("same", 3), ("other", 1), ("same ", 0)), of)
    assert pair.fields["rejected"] == "other" and len(of.lost) == 1


def test_both_completions_stand_in_its_provenance() -> None:
    prompt = Made("prompt", "m", "", "", "", "00", "", 0, "stop", 1, 1)
    items = of_scores(("a", 1), ("b", 0))
    for item, key in zip(items, ("aa", "bb"), strict=True):
        item.made = (prompt, replace(prompt, key=key))
    of = row()
    (pair,) = score(PAIR, items, of)
    assert [made.key for made in pair.made] == ["00", "aa", "bb"]
    assert item_id(of, pair, "s") not in {item_id(of, item, "s") for item in items}


def test_no_text_or_score_is_a_failure() -> None:
    of = row()
    items = samples({"response": "a", "reward": 1}, {"reward": 2}, {"response": "c"})
    assert score(PAIR, items, of) == []
    assert lost(of) == [("select.pair", r) for r in ("missing", "missing", "pair.alone")]
