"""Selections: rows by SQL, equal to what plain Python chooses, over several shards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gristmill.errors import RecipeError
from gristmill.store import Dataset, Store
from mixtures.blend.selection import load, select
from tests.mixtures.make_tokens import put_tokens

COUNT = 100
TOPICS = ["science", "art", None]
COLUMNS: dict[str, list[Any]] = {
    "topic": [TOPICS[n % 3] for n in range(COUNT)],
    "format": [("article", "list")[n % 2] for n in range(COUNT)],
    "score": [None if n == 7 else float(n * 37 % 50) for n in range(COUNT)],
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    store = Store(tmp_path_factory.mktemp("store"))
    return put_tokens(store, "tokens/all", documents=COUNT, columns=COLUMNS, rows_a_shard=30)


def chosen(dataset: Dataset, out: Path, **options: Any) -> dict[str, list[int]]:
    """Row numbers by group; checks the counts of each group on the way."""
    counts = np.array(dataset.to_table(["count"])["count"].to_pylist())
    found = {}
    for group in select(dataset, out / "rows.bin", **options):
        rows = load(out / "rows.bin", group.first, group.documents)
        assert rows is not None
        found[group.name] = rows.tolist()
        assert counts[rows].sum() == group.tokens
    return found


def test_nothing_asked_is_the_whole_dataset(dataset: Dataset, tmp_path: Path) -> None:
    (group,) = select(dataset, tmp_path / "rows.bin")
    assert group.documents == COUNT and not (tmp_path / "rows.bin").exists()
    assert group.tokens == sum(dataset.to_table(["count"])["count"].to_pylist())


def test_a_condition_chooses_rows_in_order(dataset: Dataset, tmp_path: Path) -> None:
    found = chosen(dataset, tmp_path, where="topic = 'art' and \"count\" > 10 -- so")
    counts = dataset.to_table(["count"])["count"].to_pylist()
    assert found == {"": [n for n in range(COUNT) if n % 3 == 1 and counts[n] > 10]}
    assert chosen(dataset, tmp_path, where="false") == {}


def test_groups_are_the_combinations_of_values(dataset: Dataset, tmp_path: Path) -> None:
    found = chosen(dataset, tmp_path, by=("topic", "format"), where="score < 40")
    expected: dict[str, list[int]] = {}
    for n in range(COUNT):
        score = COLUMNS["score"][n]
        if score is not None and score < 40:
            name = f"{TOPICS[n % 3] or 'none'}/{COLUMNS['format'][n]}"
            expected.setdefault(name, []).append(n)
    assert found == dict(sorted(expected.items()))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("by", [(), ("topic",), ("score",)])
def test_an_order_by_a_column_leaves_nulls_to_the_end(
    dataset: Dataset, tmp_path: Path, by: tuple[str, ...], descending: bool
) -> None:
    found = chosen(dataset, tmp_path, by=by, order_by="score", descending=descending)
    sign = -1 if descending else 1
    for rows in found.values():
        scores = [COLUMNS["score"][n] for n in rows]
        keys = [(s is None, sign * (s or 0), n) for s, n in zip(scores, rows, strict=True)]
        assert keys == sorted(keys)
    assert sorted(n for rows in found.values() for n in rows) == list(range(COUNT))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": ("topik",)}, "has no column 'topik'; did you mean 'topic'"),
        ({"order_by": "tokens"}, "has no column 'tokens'"),
        ({"where": "langage = 'en'"}, "'?\"?langage.* not found.* Its columns: id, count, topic"),
        ({"where": "tokens = ''"}, "Its columns"),
        ({"where": "topic ="}, "is no condition"),
        ({"where": "true; drop table documents"}, "is no condition"),
        ({"where": 'id in (select id from "web")'}, "reads other datasets"),
        ({"where": "id in (select id from read_csv('x'))"}, "x|reads other"),
        ({"where": "random() < 0.5"}, "must be the same every time"),
        ({"where": "topic + 1 > 2"}, "tokens/all@"),
    ],
)
def test_bad_conditions(
    dataset: Dataset, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        select(dataset, tmp_path / "rows.bin", **options)
