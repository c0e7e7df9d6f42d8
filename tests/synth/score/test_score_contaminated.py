"""Contamination of items by real benchmarks, as the step `decontaminate` judges documents."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gristmill.decontam.benchmarks import Against, read_benchmarks
from gristmill.decontam.match import scan
from gristmill.decontam.recipes import decontamination_recipe
from gristmill.errors import GristmillError, RecipeError
from gristmill.text.ngrams import build_index
from synth.ops import parse_op
from tests.synth.by_hand import lost, row, samples, score


@pytest.fixture(scope="module")
def gsm(shared_data: Path) -> str:
    return str(shared_data / "benchmarks" / "gsm8k_test.jsonl.gz")


def questions(path: str, count: int) -> list[str]:
    with gzip.open(path, "rt") as file:
        records = [json.loads(next(file)) for _ in range(count)]
    return [record.get("question") or record["query"] for record in records]


def test_planted_questions_are_found_and_named(gsm: str) -> None:
    planted = questions(gsm, 40)
    texts = [f"Here is one: {q.upper()} Let us see." for q in planted[::4]]
    texts += ["A mill grinds three sacks of rye in an hour, and twice as much of oats.", ""]
    items = samples(*({"response": text} for text in texts))
    found = score({"score": {"contaminated": {"against": gsm}}}, items)
    assert [item.fields["contaminated"] for item in found] == [True] * 10 + [False] * 2
    names = [item.fields["contaminated_item"] for item in found]
    assert names == [*(str(number) for number in range(0, 40, 4)), None, None]
    assert {item.fields["contaminated_by"] for item in found[:10]} == {"gsm8k_test"}
    assert (
        found[0].fields["contaminated_coverage"] == 1
        and found[-1].fields["contaminated_by"] is None
    )


@pytest.mark.parametrize("recipe", ["gpt3_13gram", "llama3_8gram"])
def test_it_agrees_with_the_rules_of_curation(recipe: str, gsm: str) -> None:
    planted = questions(gsm, 30)
    texts = [" ".join(q.split()[: 4 + 3 * n]) for n, q in enumerate(planted)]
    chosen = decontamination_recipe(recipe)
    table = read_benchmarks([(gsm, Against(path=gsm))])
    index = build_index(table["text"], chosen.lengths, chosen.min_words)
    matches, _ = scan(pa.array(texts), index, chosen)
    expected = np.zeros(len(texts), bool)
    expected[matches.text] = matches.matched
    options = {"against": [gsm], "recipe": recipe}
    items = samples(*({"response": text} for text in texts))
    found = score({"score": {"contaminated": options}}, items)
    assert [item.fields["contaminated"] for item in found] == expected.tolist()
    assert 0 < expected.sum() < len(texts)


def test_runs_of_numbers_are_no_match(tmp_path: Path) -> None:
    path = tmp_path / "counts.jsonl"
    count = " ".join(map(str, range(1, 40)))
    text = "the mill by the old stone bridge turns its heavy wheel all through the long winter"
    path.write_text(json.dumps({"id": "c", "text": f"{count} {text}"}))
    items = samples({"response": f"We count: {count}."}, {"response": f"See: {text}!"})
    found = score({"score": {"contaminated": {"against": str(path)}}}, items)
    assert [item.fields["contaminated"] for item in found] == [False, True]
    assert [item.fields["contaminated_item"] for item in found] == [None, "c"]


def test_threshold_files_and_fields(gsm: str, tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    words = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda my nu xi omikron pi"
    path.write_text(json.dumps({"q": words, "name": "greek"}))
    against = [{"path": str(path), "fields": ["q"], "name": "letters"}, gsm]
    half = " ".join(words.split()[:14])

    def by(**options: Any) -> dict[str, Any]:
        op = parse_op({"score": {"contaminated": {"against": against, **options}}})
        assert op.files() == [str(path), gsm]
        op.check()
        (item,) = score(op, samples({"response": half}))
        assert set(op.fields()) == set(item.fields) - {"response"}
        return item.fields

    assert by()["contaminated"] and by()["contaminated_by"] == "letters"
    assert by()["contaminated_item"] == "greek" and by()["contaminated_coverage"] == 0.875
    assert not by(threshold=0.9)["contaminated"] and by(threshold=0.9)["contaminated_item"] is None
    assert by(into="leak")["leak"]


def test_a_missing_text_is_a_failure(gsm: str) -> None:
    of = row()
    assert score({"score": {"contaminated": {"against": gsm}}}, samples({}), of) == []
    assert lost(of) == [("score.contaminated", "missing")]


def test_errors_name_the_fix(gsm: str) -> None:
    for options, words in [
        ({"against": []}, "name at least one benchmark"),
        ({"against": gsm, "recipe": "gpt3_12gram"}, "did you mean 'gpt3_13gram'"),
    ]:
        with pytest.raises(RecipeError, match=words):
            parse_op({"score": {"contaminated": options}})
    with pytest.raises(GristmillError, match="matches no file"):
        parse_op({"score": {"contaminated": {"against": "no/such.jsonl"}}}).check()
