"""Sweep: what it foretells from the ledger is what a run with those thresholds does."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from curation.curate import Curate
from curation.sweep import Sweep, sweep
from gristmill.errors import GristmillError
from gristmill.store import Dataset, Store
from tests.make_store import documents, put
from tests.run_step import run_step

WORDS = "the mill and of water to grind that grain with have be flour stone wheel 1234 #".split()
GOPHER = {"set": "gopher_quality", "min_words": 20, "max_hash_ratio": 0.1}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 texts around the thresholds."""
    draw = random.Random(3)
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    with open(path, "w") as file:
        for number in range(200):
            words = draw.choices(WORDS, k=draw.randrange(5, 60))
            lines = [" ".join(words[i : i + 9]) + "." for i in range(0, len(words), 9)]
            text = "\n".join(lines)
            row = {"id": f"{number:032x}", "url": f"https://a.org/{number}", "text": text}
            file.write(json.dumps(row) + "\n")
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, texts: Path) -> Dataset:
    """The dataset whose thresholds are swept."""
    return _curate(Store(tmp_path_factory.mktemp("base") / "store"), texts, GOPHER)


def _curate(store: Store, texts: Path, rules: dict[str, Any], **options: Any) -> Dataset:
    ops: list[Any] = [{"rules": "gopher_repetition"}, {"rules": rules}]
    ops += options.pop("more", [])
    values = {"name": "web", "use": "curate", "from": {"jsonl": str(texts)}, "ops": ops, **options}
    version = run_step(Curate.model_validate(values), store)["web"]
    return Dataset(store, "web", version)


def _ids(dataset: Dataset) -> set[str]:
    return set(dataset.to_table(["id"])["id"].to_pylist())


def _agrees(found: Sweep, before: Dataset, after: Dataset) -> None:
    old, new = _ids(before), _ids(after)
    assert found.kept_before == len(old)
    assert found.newly_dropped == len(old - new)
    assert found.newly_kept + found.undecided >= len(new - old) >= found.newly_kept
    if not found.undecided:
        assert found.kept_after == len(new)
    for example in found.examples:
        if example["change"] == "dropped":
            assert example["id"] in old - new and example["rule"] is not None
        elif example["change"] == "kept":
            assert example["id"] in new - old


@pytest.mark.parametrize(
    "change",
    [
        {"min_words": 40, "max_hash_ratio": 0.2},
        pytest.param({"min_words": 30}, marks=pytest.mark.slow),
        pytest.param({"min_words": 10}, marks=pytest.mark.slow),
        pytest.param({"max_hash_ratio": None}, marks=pytest.mark.slow),
    ],
)
def test_one_segment_is_foretold_exactly(base: Dataset, texts: Path, change: Any) -> None:
    found = sweep(base, {f"gopher_quality.{rule}": value for rule, value in change.items()})
    after = _curate(base.store, texts, {**GOPHER, **change})
    assert _ids(base) != _ids(after) and found.undecided == 0
    _agrees(found, base, after)
    lines = {line["rule"]: line for line in found.rules}
    for rule, value in change.items():
        assert lines[f"gopher_quality.{rule}"]["new_threshold"] == value


def test_old_failures_are_those_of_the_ledger(base: Dataset) -> None:
    found = sweep(base, {"gopher_quality.min_words": 20})
    assert (found.newly_dropped, found.newly_kept, found.undecided) == (0, 0, 0)
    counted = base.ledger.sql(
        "select rule, count(*) from (select unnest(rules).rule as rule from this) group by 1"
    ).fetchall()
    told = {line["rule"]: line["failed"] for line in found.rules if line["failed"]}
    assert told == {rule: n for rule, n in counted if rule.startswith("gopher_quality.")}


@pytest.mark.slow
def test_what_later_ops_never_saw_is_undecided_unless_all_was_evaluated(
    tmp_path: Path, texts: Path
) -> None:
    later = [{"pii": {}}, {"rules": {"set": "fineweb", "max_short_lines": 0.4}}]
    change = {"gopher_quality.min_words": 10.0}
    outcomes = {}
    for evaluate in ("segment", "all"):
        store = Store(tmp_path / evaluate)
        before = _curate(store, texts, GOPHER, more=later, evaluate=evaluate)
        outcomes[evaluate] = found = sweep(before, change)
        after = _curate(store, texts, {**GOPHER, "min_words": 10}, more=later, evaluate=evaluate)
        _agrees(found, before, after)
    assert outcomes["segment"].undecided > 0 == outcomes["segment"].newly_kept
    assert outcomes["segment"].unanswered == ["fineweb"]
    assert outcomes["all"].undecided == 0 < outcomes["all"].newly_kept
    assert outcomes["all"].newly_kept <= outcomes["segment"].undecided


def test_later_ops_that_drop_nothing_leave_nothing_undecided(tmp_path: Path, texts: Path) -> None:
    before = _curate(Store(tmp_path / "store"), texts, GOPHER, more=[{"pii": {}}])
    found = sweep(before, {"gopher_quality.min_words": 10})
    assert (found.undecided, found.unanswered) == (0, []) and found.newly_kept > 0
    after = _curate(before.store, texts, {**GOPHER, "min_words": 10}, more=[{"pii": {}}])
    _agrees(found, before, after)


@pytest.mark.slow
def test_signals_of_a_later_segment(tmp_path: Path, texts: Path) -> None:
    store = Store(tmp_path / "store")
    later = [{"pii": {}}, {"rules": {"set": "gopher_quality@paper", "min_words": 25}}]
    ops: dict[str, Any] = {"set": "fineweb", "max_short_lines": 0.9}
    before = _curate(store, texts, ops, more=later)
    found = sweep(before, {"gopher_quality.min_words": 35})
    later[1] = {"rules": {"set": "gopher_quality@paper", "min_words": 35}}
    after = _curate(store, texts, ops, more=later)
    _agrees(found, before, after)
    assert found.newly_dropped > 0 == found.undecided


def test_the_step_is_found_from_what_was_made_of_it(base: Dataset) -> None:
    rows = {"": ("document", [documents([1])])}
    child = put(base.store, "unique", rows, parents=[base.ref])
    assert sweep(child, {"gopher_quality.min_words": 30}).step == base.ref


def test_mistakes(base: Dataset) -> None:
    with pytest.raises(GristmillError, match="did you mean 'min_words'"):
        sweep(base, {"gopher_quality.min_word": 3})
    with pytest.raises(GristmillError, match="did you mean 'gopher_quality'"):
        sweep(base, {"gopher_qualty.min_words": 3})
    with pytest.raises(GristmillError, match=r"e\.g\. gopher_quality\.min_words=30"):
        sweep(base, {"min_words": 3})
