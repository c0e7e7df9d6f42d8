"""exact_dedup: copies by bytes, by words, by URL; who stays, and who is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curation.exact_dedup import ExactDedup
from curation.url_keys import url_keys
from gristmill.errors import RecipeError
from gristmill.progress import Progress
from gristmill.store import Store
from gristmill.text.fingerprints import text_fingerprints
from pipelines.local import LocalExecutor
from pipelines.run import run_step
from tests.curation.minhash.corpora import documents, put_texts

Build = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def executor() -> Iterator[LocalExecutor]:
    with LocalExecutor(1) as running:
        yield running


@pytest.fixture
def dedup(tmp_path: Path, executor: LocalExecutor) -> Build:
    """Deduplicate a table; ledger rows by id."""

    def build(table: pa.Table, rows_a_shard: int = 2, **options: Any) -> dict[str, dict[str, Any]]:
        store = Store(tmp_path / "store")
        put_texts(store, "web/clean", table, rows_a_shard)
        step = ExactDedup(
            **{"name": "web/once", "use": "exact_dedup", "from": "web/clean", **options}
        )
        with Progress(quiet=True) as progress:
            run_step(step, store, executor, progress, {"web/clean": store["web/clean"]})
        ledger = store["web/once"].ledger.to_table().to_pylist()
        kept = [row["id"] for row in ledger if row["state"] == "kept"]
        assert kept == store["web/once"].to_table()["id"].to_pylist()
        sizes = store["web/once"].to_table()["duplicate_cluster_size"].to_pylist()
        assert [row["cluster_size"] for row in ledger if row["state"] == "kept"] == sizes
        assert sum(sizes) >= table.num_rows
        return {row["id"]: row for row in ledger}

    return build


def partners(ledger: dict[str, dict[str, Any]]) -> list[str | None]:
    return [row["partner_id"] for row in ledger.values()]


def test_the_first_of_equal_texts_stays(dedup: Build) -> None:
    ledger = dedup(documents(["a b", "c", "a b", "A b", "c", "a b", "", None]))
    assert partners(ledger) == [None, None, "d0", None, "d1", "d0", None, "d6"]
    assert ledger["d5"]["reason"] == "exact_duplicate"
    assert ledger["d5"]["similarity"] == 1.0 and ledger["d5"]["similarity_is"] == "equal"
    assert [ledger[i]["cluster_size"] for i in ("d0", "d2", "d3")] == [3, 3, 1]
    assert ledger["d0"]["cluster"] == ledger["d5"]["cluster"] == "d0"
    assert ledger["d3"]["cluster"] is None


def test_words_ignore_case_and_signs(dedup: Build) -> None:
    texts = ["Rye, wheat.", "rye WHEAT", "wheat rye", "…", "?", "…"]
    assert partners(dedup(documents(texts), by=["words"])) == [None, "d0", None, None, None, "d3"]


def test_urls_are_compared_as_keys(dedup: Build) -> None:
    url = [
        "https://a.example/x?utm_source=mail", "http://A.example/x/#top", "", None,
        "https://a.example/x?id=2", "https://a.example:443/x",
    ]  # fmt: skip
    ledger = dedup(documents([f"text {n}" for n in range(6)], url=url), by=["url"])
    assert partners(ledger) == [None, "d0", None, None, None, "d0"]
    assert ledger["d1"]["reason"] == "same_url"


def test_a_later_pass_sees_what_is_left_and_partners_are_kept_ones(dedup: Build) -> None:
    url = [
        "https://a.example/1",
        "https://a.example/2",
        "https://a.example/2",
        "https://a.example/3",
    ]
    ledger = dedup(documents(["same", "same", "other", "other"], url=url), by=["url", "text"])
    # d2 goes for d1 (URL), d1 then for d0 (text): d2 names d0, and d3 has nobody left
    assert partners(ledger) == [None, "d0", "d0", None]
    assert [row["reason"] for row in ledger.values()] == [None, "exact_duplicate", "same_url", None]
    assert ledger["d0"]["cluster_size"] == 3


@pytest.mark.parametrize(
    ("policy", "kept"),
    [("first", "d0"), ("newest", "d2"), ("oldest", "d1"), ("signal:score", "d3")],
)
def test_survivors_follow_the_policy(dedup: Build, policy: str, kept: str) -> None:
    date = ["2024-05", "2023-12-31", "2026", None]
    table = documents(["x y z"] * 4, date=date, score=[1, 2, 3, 4])
    ledger = dedup(table, survivor=policy)
    assert [i for i, row in ledger.items() if row["state"] == "kept"] == [kept]


def test_sizes_add_up_over_steps(dedup: Build) -> None:
    table = documents(["x", "x", "y"]).append_column(
        "duplicate_cluster_size", pa.array([5, None, 2])
    )
    ledger = dedup(table)
    assert [row["cluster_size"] for row in ledger.values()] == [6, 6, 2]


def test_no_documents(dedup: Build) -> None:
    assert dedup(documents([]), by=["url", "text"]) == {}


def test_mistakes_are_explained(dedup: Build) -> None:
    with pytest.raises(RecipeError, match="at most once"):
        dedup(documents(["x"]), by=["text", "text"])


def test_fingerprints_of_long_texts_differ_in_one_byte() -> None:
    texts = ["x" * n for n in range(300)] + ["x" * 150 + "y" + "x" * 149]
    assert len({tuple(row) for row in text_fingerprints(pa.array(texts)).tolist()}) == 301
    assert (
        text_fingerprints(pa.array(["", None]))[0] == text_fingerprints(pa.array([""]))[0]
    ).all()


def test_word_fingerprints_respect_order_and_number() -> None:
    made = text_fingerprints(pa.array(["a b", "b a", "a  B!", "a b b", "ab"]), True).tolist()
    assert made[0] == made[2]
    assert len({tuple(row) for row in made}) == 4


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://Example.ORG:443/A/?b=1&utm_source=x#y", "example.org/A?b=1"),
        ("http://example.org", "example.org"),
        ("http://example.org:8080//", "example.org:8080"),
        ("//example.org/?utm_a=1&utm_b=2&utm_c=3", "example.org"),
        ("http://example.org?gclid=3&q=a&fbclid", "example.org?q=a"),
        ("http://example.org/?notutm_a=1&xgclid=2", "example.org?notutm_a=1&xgclid=2"),
        ("https://example.org/a;jsessionid=1F?x=&y", "example.org/a?x=&y"),
        (" https://example.org/a%20b ", "example.org/a%20b"),
        ("no url#part", "no url"),
        ("", None),
        (None, None),
    ],
)
def test_url_keys(url: str | None, key: str | None) -> None:
    assert url_keys(pa.array([url], pa.string())).to_pylist() == [key]
    assert url_keys(pa.chunked_array([[url], [url]], pa.string())).to_pylist() == [key, key]
