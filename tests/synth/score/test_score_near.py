"""Nearness: three measures against plain references, parents, lists and siblings."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.errors import RecipeError
from gristmill.text.shingles import shingles
from gristmill.text.words import normalized_words
from synth.ops import parse_op
from tests.gristmill.text.test_lcs import reference
from tests.synth.by_hand import lost, row, samples, score

words = st.lists(st.sampled_from(["mill", "Flour", "wind", "ox", "3", "a"]), max_size=30)


def near(options: dict[str, Any], *fields: dict[str, Any]) -> list[float]:
    return [item.fields["near"] for item in score({"score": {"near": options}}, samples(*fields))]


def expected(measure: str, item: str, other: str, ngram: int) -> float:
    if measure == "rouge_l":
        one, two = normalized_words(item), normalized_words(other)
        if not one or not two:
            return 0.0
        names = {word: number for number, word in enumerate({*one, *two})}
        common = reference([names[w] for w in one], [names[w] for w in two])
        precision, recall = common / len(one), common / len(two)
        return 2 * precision * recall / (precision + recall) if common else 0.0
    mine, others = set(shingles(item, ngram)), set(shingles(other, ngram))
    whole = len(mine) if measure == "containment" else len(mine | others)
    return len(mine & others) / whole if mine and others else 0.0


@settings(max_examples=150, deadline=None)
@given(
    words.map(" ".join),
    words.map(", ".join),
    st.sampled_from(["jaccard", "containment", "rouge_l"]),
    st.integers(1, 5),
)
def test_measures_equal_their_definition(one: str, two: str, measure: str, ngram: int) -> None:
    (found,) = near({"measure": measure, "ngram": ngram}, {"response": one, "text": two})
    assert found == pytest.approx(expected(measure, one, two, ngram))


def test_a_copied_sentence_is_contained_in_a_long_source() -> None:
    source = " ".join(f"word{number}" for number in range(500))
    fields = {"response": " ".join(source.split()[100:120]), "text": source}
    assert near({"measure": "containment"}, fields) == [1.0]
    (jaccard,) = near({}, fields)
    assert jaccard == 16 / 496


def test_siblings_count_from_the_second_on() -> None:
    texts = ["one two three", "four five six", "one two four", "one two three"]
    fields = [{"response": text, "text": "seven"} for text in texts]
    options = {"siblings": True, "measure": "rouge_l"}
    assert near(options, *fields) == [0, 0, pytest.approx(2 / 3), 1]
    assert near({**options, "to": None}, *fields) == [0, 0, pytest.approx(2 / 3), 1]
    assert near({"measure": "rouge_l"}, *fields) == [0, 0, 0, 0]


def test_self_instruct_keeps_what_is_new_to_its_pool(shared_data: Path) -> None:
    with gzip.open(shared_data / "instruct" / "self_instruct_seed_tasks.jsonl.gz", "rt") as file:
        pool = [json.loads(line)["instruction"] for line in file]
    texts = [
        pool[3],
        pool[10].upper() + "!",
        "Name three kinds of watermill and where each is used.",
    ]
    items = samples(*({"response": text, "pool": pool} for text in texts))
    of = row()
    score({"score": {"near": {"to": "pool", "measure": "rouge_l"}}}, items, of)
    for item in items:
        assert item.fields["near"] == pytest.approx(
            max(expected("rouge_l", item.fields["response"], other, 1) for other in pool)
        )
    kept = score({"select": {"pass": {"near": {"below": 0.7}}}}, items, of)
    assert [item.fields["response"] for item in kept] == texts[2:]
    assert lost(of) == [("select.pass", "near.below")] * 2


def test_what_is_missing_is_a_failure() -> None:
    of = row()
    items = samples({"response": "a"}, {"text": "b"}, {"response": "a", "text": ["b", 3]})
    assert score({"score": "near"}, items, of) == []
    assert lost(of) == [("score.near", "missing")] * 3
    assert near({}, {"response": "a", "text": []}) == [0]
    with pytest.raises(RecipeError, match="compares with nothing"):
        parse_op({"score": {"near": {"to": None}}})
