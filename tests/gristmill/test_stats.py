"""Totals, statistics and samples."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from gristmill.errors import GristmillError
from gristmill.query import QueryError
from gristmill.sample import sample
from gristmill.stats import stats, totals
from gristmill.store import Store
from tests.make_store import put, put_documents


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_totals_and_counted_columns_need_no_shard(store: Store) -> None:
    dataset = put_documents(store, "web", range(30))
    text_bytes = sum(len(text) for text in dataset.to_table(["text"])["text"].to_pylist())
    for file in dataset.files:
        file.unlink()  # what is answered now came from the manifest
    found = totals(store["web"])
    assert (found["rows"], found["shards"], found["text_bytes"]) == (30, 3, text_bytes)
    assert stats(store["web"], by="language") == [
        {"language": "de", "rows": 15, "share": 0.5},
        {"language": "en", "rows": 15, "share": 0.5},
    ]
    assert {row["column"] for row in stats(store["web"])} == {"language", "source"}


def test_other_columns_are_scanned(store: Store) -> None:
    dataset = put_documents(store, "web", range(30))
    (date,) = stats(dataset, by="date")
    assert date == {"date": "2026-01-01", "rows": 30, "share": 1.0}
    (scores,) = stats(dataset, by="language_score")
    assert (scores["counted"], scores["min"], scores["p50"], scores["max"]) == (30, 0.5, 0.64, 0.79)
    (length,) = stats(dataset, by="text")
    assert (length["min"], length["max"]) == (len("Grain number 1."), len("Grain number 11."))
    assert stats(dataset, by="host") == [{"host": "example.org", "rows": 30, "share": 1.0}]
    by_language = stats(dataset, by="language", of="text")
    assert [row["language"] for row in by_language] == ["de", "en"]
    assert all(row["counted"] == 15 for row in by_language)
    assert len(stats(dataset, by="id", top=4)) == 4


def test_stats_of_what_is_not_there(store: Store) -> None:
    dataset = put_documents(store, "web", range(3))
    with pytest.raises(GristmillError, match="did you mean 'language'"):
        stats(dataset, by="langauge")
    with pytest.raises(GristmillError, match="has no quantiles"):
        stats(dataset, of="url")


def test_a_sample_is_a_function_of_seed_and_ids(store: Store) -> None:
    whole = put_documents(store, "web", range(40))
    other = put_documents(store, "sharded", list(range(39, -1, -1)))
    one = sample(whole, 7, seed=1)["id"].to_pylist()
    assert one == sample(other, 7, seed=1)["id"].to_pylist()
    assert one[:3] == sample(whole, 3, seed=1)["id"].to_pylist()
    assert one != sample(whole, 7, seed=2)["id"].to_pylist()
    assert sample(whole, 100).num_rows == 40
    assert sample(whole, 5).schema == whole.schema
    german = sample(whole, 100, where="language = 'de' -- odd numbers")
    assert set(german["language"].to_pylist()) == {"de"} and german.num_rows == 20
    assert sample(whole, 5, where="false").num_rows == 0


def test_a_sample_of_rows_without_ids(store: Store) -> None:
    tables = [pa.table({"n": [1, 2, 3]}), pa.table({"n": [4, 5, 6]})]
    dataset = put(store, "numbers", {"": ("rows", tables)})
    assert sample(dataset, 4) == sample(dataset, 4)
    assert len(set(sample(dataset, 6)["n"].to_pylist())) == 6


@pytest.mark.parametrize(
    "where",
    [
        "true); copy (select 1) to 'x.csv'; select (1",
        "id in (select * from '/etc/passwd.csv')",
        "langauge = 'de'",
    ],
)
def test_a_condition_is_only_a_condition(store: Store, where: str) -> None:
    dataset = put_documents(store, "web", range(3))
    with pytest.raises(QueryError):
        sample(dataset, 2, where=where)


def test_groups_of_several_columns_and_numbers_that_are_none(store: Store) -> None:
    nan = float("nan")
    table = pa.table(
        {"topic": ["a", "a", "b"], "format": ["x", "y", "x"], "score": [1.0, nan, 3.0]}
    )
    dataset = put(store, "numbers", {"": ("rows", [table])})
    assert stats(dataset, by="topic, format") == [
        {"topic": t, "format": f, "rows": 1, "share": 0.333333}
        for t, f in [("a", "x"), ("a", "y"), ("b", "x")]
    ]
    (scores,) = stats(dataset, of="score")
    assert (scores["rows"], scores["counted"], scores["max"], scores["mean"]) == (3, 2, 3.0, 2.0)
