"""minhash_dedup as a user runs it: real store, real worker processes, real Parquet."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasketch import MinHash

from curation.minhash.step import MinhashDedup
from gristmill.errors import GristmillError, RecipeError
from gristmill.progress import Progress
from gristmill.store import Dataset, Store
from gristmill.text.minhash import match_probability
from gristmill.text.shingles import shingle_hash, shingles
from pipelines.local import LocalExecutor
from pipelines.run import run_step
from tests.curation.minhash.corpora import (
    documents,
    edited,
    jaccard,
    page,
    planted,
    put_texts,
    similar_pairs,
)

ONE_WORKER = LocalExecutor(1)
LONG = "the miller carries twelve sacks of rye and wheat up the narrow stair to the old stone"


def dedup(
    store: Store, name: str = "web/unique", workers: int | None = None, **options: Any
) -> Dataset:
    step = MinhashDedup(**{"name": name, "use": "minhash_dedup", "from": "web/clean", **options})
    inputs = {ref: store[ref] for ref in step.inputs()}
    with ExitStack() as stack, Progress(quiet=True) as progress:
        executor = stack.enter_context(LocalExecutor(workers)) if workers else ONE_WORKER
        run_step(step, store, executor, progress, inputs)
    return store[name]


@pytest.fixture(scope="module", autouse=True)
def one_worker() -> Iterator[None]:
    """One process for all tests of this file that do not ask for more."""
    with ONE_WORKER:
        yield


def rows(dataset: Dataset) -> list[dict[str, Any]]:
    return dataset.to_table().to_pylist()


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return planted(3)


@pytest.fixture(scope="module")
def store(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    place = Store(tmp_path_factory.mktemp("dedup") / "store")
    put_texts(place, "web/clean", documents(texts))
    dedup(place)
    yield place


def test_every_row_is_accounted_for(store: Store, texts: list[str]) -> None:
    ledger, kept = rows(store["web/unique"].ledger), rows(store["web/unique"])
    assert [row["id"] for row in ledger] == [f"d{n}" for n in range(len(texts))]
    assert [r["id"] for r in ledger if r["state"] == "kept"] == [r["id"] for r in kept]
    assert {r["state"] for r in ledger} == {"kept", "dropped"}
    assert store["web/unique"].schema.names == [
        *store["web/clean"].schema.names, "duplicate_cluster_size",
    ]  # fmt: skip


def test_every_drop_names_a_kept_partner_and_its_exact_jaccard(
    store: Store, texts: list[str]
) -> None:
    ledger = rows(store["web/unique"].ledger)
    kept = {row["id"] for row in ledger if row["state"] == "kept"}
    dropped = [row for row in ledger if row["state"] == "dropped"]
    assert len(dropped) > 40
    for row in dropped:
        assert row["partner_id"] in kept
        similarity = jaccard(texts[int(row["id"][1:])], texts[int(row["partner_id"][1:])])
        assert row["similarity"] == similarity >= 0.7
        assert row["similarity_is"] == "jaccard"
        assert row["reason"] == "minhash_duplicate" and row["step_op"] == "minhash_dedup"
        assert row["rules"] == [
            {"rule": "minhash_duplicate.similarity", "value": similarity, "threshold": 0.7}
        ]
        assert row["partner_dataset"] is None


def test_recall_is_what_the_band_formula_predicts(store: Store, texts: list[str]) -> None:
    kept = {row["id"] for row in rows(store["web/unique"])}
    pairs = similar_pairs(texts, 0.8)
    missed = [pair for pair in pairs if all(f"d{n}" in kept for n in pair)]
    expected = sum(1 - match_probability(value, 14, 8) for value in pairs.values())
    assert len(pairs) > 60
    assert len(missed) <= expected + 3 * max(expected, 1) ** 0.5


def test_clusters_are_counted_and_named(store: Store) -> None:
    ledger = rows(store["web/unique"].ledger)
    sizes = {r["id"]: r["duplicate_cluster_size"] for r in rows(store["web/unique"])}
    members: dict[str, list[str]] = {}
    for row in ledger:
        members.setdefault(row["partner_id"] or row["id"], []).append(row["cluster"])
        assert row["cluster_size"] == sizes[row["partner_id"] or row["id"]]
        assert (row["cluster"] is None) == (row["cluster_size"] == 1)
    for survivor, clusters in members.items():
        assert len(clusters) == sizes[survivor] and len(set(clusters)) == 1
    assert sum(sizes.values()) == len(ledger)


def test_the_longest_of_a_cluster_survives(store: Store, texts: list[str]) -> None:
    for row in rows(store["web/unique"].ledger):
        if row["state"] == "dropped":
            mine, theirs = texts[int(row["id"][1:])], texts[int(row["partner_id"][1:])]
            assert len(mine.encode()) <= len(theirs.encode())


def test_signatures_of_survivors_are_datasketch_s(store: Store) -> None:
    kept, signed = rows(store["web/unique"]), rows(store["web/unique.signatures"])
    assert [row["id"] for row in kept] == [row["id"] for row in signed]
    for document, row in zip(kept[:5], signed[:5], strict=True):
        minhash = MinHash(112, 1, scheme="affine32", hashfunc=shingle_hash)
        minhash.update_batch(shingles(document["text"]))
        assert row["signature"] == minhash.hashvalues.tolist()
        stored = MinHash(seed=1, hashvalues=row["signature"], scheme="affine32")
        assert stored.jaccard(minhash) == 1.0
        assert row["shingles"] == len(shingles(document["text"]))


def test_report_counts(store: Store, texts: list[str]) -> None:
    totals = {
        r["name"]: r["value"] for r in rows(store["web/unique.report"]) if r["kind"] == "total"
    }
    assert totals["documents"] == len(texts)
    assert totals["dropped"] == len(texts) - store["web/unique"].rows
    assert totals["measured_pairs"] <= 20 * len(texts)
    assert totals["expected_recall_at_0.8"] == pytest.approx(0.924, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 5])
def test_any_number_of_workers_gives_the_same_versions(
    store: Store, texts: list[str], tmp_path: Path, workers: int
) -> None:
    other = Store(tmp_path / "store")
    put_texts(other, "web/clean", documents(texts))
    dedup(other, workers=workers)
    for name in ("", ".ledger", ".signatures", ".report"):
        assert other[f"web/unique{name}"].version == store[f"web/unique{name}"].version


def test_which_rows_survive_does_not_depend_on_shards(
    store: Store, texts: list[str], tmp_path: Path
) -> None:
    other = Store(tmp_path / "store")
    put_texts(other, "web/clean", documents(texts), rows_a_shard=10_000)
    dedup(other)
    key = ("id", "state", "partner_id", "similarity", "cluster_size")
    first, second = rows(store["web/unique"].ledger), rows(other["web/unique"].ledger)
    assert [[r[k] for k in key] for r in first] == [[r[k] for k in key] for r in second]


def test_earlier_signatures_name_the_older_document(tmp_path: Path) -> None:
    random_ = random.Random(1)
    store = Store(tmp_path / "store")
    old = [page(random_) for _ in range(40)]
    put_texts(store, "web/clean", documents(old, "old"), 15)
    dedup(store, "first/unique")
    news = [page(random_) for _ in range(20)]
    copies = [old[3], edited(old[5], random_, 0.01), old[3].upper(), news[4] + " and more"]
    fresh = [*news, *copies]
    put_texts(store, "web/clean", documents(fresh, "new"), 10)
    dedup(store, "second/unique", against=["first/unique"], survivor="longest")
    ledger = {row["id"]: row for row in rows(store["second/unique"].ledger)}
    assert [ledger[f"new{n}"]["partner_id"] for n in (20, 21, 22)] == ["old3", "old5", "old3"]
    version = store["first/unique.signatures"].ref
    for n in (20, 21, 22):
        assert ledger[f"new{n}"]["partner_dataset"] == version
        assert ledger[f"new{n}"]["similarity_is"] == "estimate"
        assert ledger[f"new{n}"]["partner_url"].endswith(ledger[f"new{n}"]["partner_id"])
    assert ledger["new20"]["similarity"] == ledger["new22"]["similarity"] == 1.0
    assert 0.7 <= ledger["new21"]["similarity"] < 1
    assert ledger["new4"]["partner_id"] == "new23"  # longest, among the new
    assert ledger["new23"]["cluster_size"] == 2
    # a third run against both knows the survivors of both
    put_texts(store, "web/clean", documents([news[7], old[9], page(random_)], "third"), 10)
    dedup(store, "third/unique", against=["first/unique", "second/unique.signatures"])
    ledger = {row["id"]: row for row in rows(store["third/unique"].ledger)}
    assert ledger["third0"]["partner_id"] == "new7"
    assert ledger["third1"]["partner_id"] == "old9"
    assert ledger["third2"]["state"] == "kept"


def test_signatures_of_another_kind_are_refused(store: Store) -> None:
    with pytest.raises(GristmillError, match=r"affine32/112/1/5.*affine32/112/2/5"):
        dedup(store, "web/again", seed=2, against=["web/unique"])


def test_short_and_empty_texts(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    texts = ["Grist!", "", None, "grist", "  ", "two words", "…", "Two, words.", LONG, LONG]
    put_texts(store, "web/clean", documents(texts), 4)
    dedup(store)
    kept = [row["id"] for row in rows(store["web/unique"])]
    assert kept == ["d0", "d1", "d2", "d4", "d6", "d7", "d8"]  # empty ones are nobody's duplicate
    totals = {r["name"]: r["value"] for r in rows(store["web/unique.report"])}
    assert totals["without_words"] == 4


def test_no_documents(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    put_texts(store, "web/clean", documents([]))
    dedup(store)
    assert store["web/unique"].rows == 0
    assert store["web/unique.signatures"].rows == 0


@pytest.mark.parametrize(
    ("policy", "survivor"),
    [
        ("longest", "d2"),
        ("oldest", "d1"),
        ("newest", "d3"),
        ("first", "d0"),
        ("signal:score", "d1"),
    ],
)
def test_survivor_policies(tmp_path: Path, policy: str, survivor: str) -> None:
    store = Store(tmp_path / "store")
    texts = [LONG, LONG.upper(), LONG + " !!!", LONG, "something else altogether, on its own here"]
    dates = ["2025-06-01", "2024-05-06T07:08:09Z", None, "2025-11-01T00:00:00Z", "2020-01-01"]
    scores = [0.5, 0.9, None, 0.9, 0.1]
    put_texts(store, "web/clean", documents(texts, date=dates, score=scores), 2)
    dedup(store, survivor=policy)
    assert [row["id"] for row in rows(store["web/unique"])] == [survivor, "d4"]


def test_ids_may_repeat(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    put_texts(store, "web/clean", documents([LONG, LONG + "er", LONG], id=["a", "a", "a"]), 2)
    dedup(store)
    assert store["web/unique"].rows == 1
    assert store["web/unique"].ledger.rows == 3


def test_a_source_that_vanishes_is_reported(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    texts = [f"{LONG} number {n} of a long list of sacks" for n in range(30)]
    url = [f"https://{'mirror' if n % 2 else 'Origin'}.example/{n}" for n in range(60)]
    both = [text for text in texts for _ in range(2)]
    put_texts(store, "web/clean", documents(both, url=url), 20)
    dedup(store, survivor="first", wipeout_min=25)
    lost = [r for r in rows(store["web/unique.report"]) if r["kind"] == "lost_source"]
    assert [(r["name"], r["documents"], r["dropped_for_older"]) for r in lost] == [
        ("mirror.example", 30, 0)
    ]
    notes = store["web/unique"].build()["notes"]
    assert any("mirror.example (30)" in note for note in notes)


def test_max_cluster_bounds_distinct_texts(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    texts = [f"{LONG * 8} number {n}" for n in range(24)] + [f"{LONG * 8} number 0"] * 5
    put_texts(store, "web/clean", documents(texts), 10)
    dedup(store, max_cluster=6, survivor="first")
    ledger = rows(store["web/unique"].ledger)
    members: dict[str, set[str]] = {}
    for row in ledger:
        text = texts[int(row["id"][1:])]
        members.setdefault(row["partner_id"] or row["id"], set()).add(text)
    assert max(len(distinct) for distinct in members.values()) <= 6
    assert any("max_cluster" in note for note in store["web/unique"].build()["notes"])


def test_mistakes_are_explained(store: Store) -> None:
    with pytest.raises(RecipeError, match="did you mean 'longest'"):
        dedup(store, "web/again", survivor="longes")
    with pytest.raises(RecipeError, match="did you mean 'language_score'"):
        dedup(store, "web/again", survivor="signal:languagescore")
    with pytest.raises(RecipeError, match="'text' is string, not a number"):
        dedup(store, "web/again", survivor="signal:text")
    with pytest.raises(RecipeError, match="did you mean 'source'"):
        dedup(store, "web/again", wipeout_by="sauce")
    with pytest.raises(RecipeError, match="a name of its own"):
        dedup(store, "web/unique", against=["web/unique"])


def test_a_second_dedup_changes_nothing(store: Store) -> None:
    dedup(store, "web/twice", **{"from": "web/unique"})
    first, second = store["web/unique"].to_table(), store["web/twice"].to_table()
    kept = set(second["id"].to_pylist())
    assert kept <= set(first["id"].to_pylist())
    assert len(kept) >= first.num_rows - 3  # a pair that LSH proposes only among fewer texts
    assert second["duplicate_cluster_size"].type == pa.int64()
