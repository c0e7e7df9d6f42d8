"""Differences between versions: counts that reconcile, schema and config changes."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.diff import diff
from gristmill.store import Store
from tests.make_store import documents, put, put_documents, row_id


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_added_removed_and_changed_rows(store: Store) -> None:
    shared = documents(range(100, 110))
    a = put(store, "web", {"": ("document", [shared, documents(range(20))])}, config={"v": 1})
    changed = documents(range(5, 8), text="Other grain {n}.")
    scored = documents(range(8, 10))
    scored = scored.set_column(7, "language_score", pa.array([0.0, 0.1]))
    after = pa.concat_tables([documents(range(5, 20)).slice(5), changed, scored])
    after = pa.concat_tables([after, documents(range(50, 52))])
    b = put(store, "web", {"": ("document", [shared, after])}, config={"v": 2, "ops": [{"c": 4}]})
    found = diff(a, b)
    assert (found.rows_a, found.rows_b, found.shards_shared) == (30, 27, 1)
    assert (found.added, found.removed, found.changed, found.changed_text) == (2, 5, 5, 3)
    assert found.rows_b == found.rows_a - found.removed + found.added
    assert {e["id"] for e in found.examples if e["change"] == "removed"} == {
        row_id(n) for n in range(5)
    }
    columns = {tuple(e["columns"]) for e in found.examples if e["change"] == "changed"}
    assert columns == {("text", "text_digest"), ("language_score",)}
    assert {"step": "web", "key": "config.v", "a": 1, "b": 2} in found.asked
    assert {"step": "web", "key": "config.ops.0.c", "a": None, "b": 4} in found.asked
    assert not found.same and not found.schema


def test_equal_shards_are_not_read(store: Store) -> None:
    a = put_documents(store, "web", range(20))
    b = put_documents(store, "other", range(30))
    for dataset in (a, b):
        for file in dataset.files[:2]:
            file.unlink()
    found = diff(a, b)
    assert (found.shards_shared, found.added, found.removed, found.changed) == (2, 10, 0, 0)


def test_the_same_version_and_the_same_rows_otherwise_ordered(store: Store) -> None:
    a = put_documents(store, "web", range(20))
    assert diff(a, a).same
    b = put_documents(store, "web", list(reversed(range(20))), config={"v": 2})
    found = diff(a, b)
    assert not found.same
    assert (found.added, found.removed, found.changed, found.examples) == (0, 0, 0, [])


def test_changed_schemas_compare_by_the_columns_in_common(store: Store) -> None:
    table = documents(range(10))
    a = put(store, "web", {"": ("document", [table])}, config={"v": 1})
    wider = table.drop_columns("language_score").append_column("topic", pa.array(["x"] * 10))
    b = put(store, "web", {"": ("document", [wider])}, config={"v": 2})
    found = diff(a, b)
    assert found.schema == [
        {"column": "language_score", "a": "double", "b": None},
        {"column": "topic", "a": None, "b": "string"},
    ]
    assert (found.added, found.removed, found.changed) == (0, 0, 0)


def test_rows_without_ids_are_added_or_removed(store: Store) -> None:
    a = put(store, "n", {"": ("rows", [pa.table({"n": [1, 2, 2, 3]})])}, config={"v": 1})
    b = put(store, "n", {"": ("rows", [pa.table({"n": [2, 3, 4]})])}, config={"v": 2})
    found = diff(a, b)
    assert (found.added, found.removed, found.changed) == (1, 2, 0)


def test_what_was_asked_differently_in_the_steps_before(store: Store) -> None:
    ends = []
    for words in (30, 50):
        clean = put_documents(store, "clean", range(words), config={"min_words": words})
        unique = put_documents(store, "unique", range(words - 1), parents=[clean.ref])
        ends.append(put_documents(store, "final", range(words - 2), parents=[unique.ref]))
    a, b = ends
    told = [(row["step"], row["key"], row["a"], row["b"]) for row in diff(a, b).asked]
    assert told[0] == ("clean", "config.min_words", 30, 50)
    assert [(step, key) for step, key, _, _ in told[1:]] == [
        ("unique", "parents.0"),
        ("final", "parents.0"),
    ]
    far = diff(store["clean"], a).asked
    assert [row["b"] for row in far if row["key"] == "config.min_words"] == [30, None]
    assert {"step": "unique", "key": "use", "a": None, "b": "test"} in far
    assert far[-1]["step"] == "clean → final"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), max_size=12), st.data())
def test_counts_are_the_multiset_difference(
    tmp_path_factory: pytest.TempPathFactory, before: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Ids may repeat; per id what came and went pairs up as changed, the rest as added, removed."""
    after = data.draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), max_size=12))
    store = Store(tmp_path_factory.mktemp("diff"))
    tables = []
    for rows in (before, after):
        plain = documents([n for n, _ in rows])
        texts = pa.array([f"text {t}" for _, t in rows], pa.string())
        plain = plain.set_column(1, "text", texts)
        digests = pc.binary_join_element_wise("d", texts, "")
        tables.append(plain.set_column(5, "text_digest", digests))
    a, b = (put(store, f"d{i}", {"": ("document", [t])}) for i, t in enumerate(tables))
    found = diff(a, b)
    added = removed = changed = 0
    for number in range(5):
        old = [t for n, t in before if n == number]
        new = [t for n, t in after if n == number]
        for text in range(3):
            both = min(old.count(text), new.count(text))
            for _ in range(both):
                old.remove(text)
                new.remove(text)
        pairs = min(len(old), len(new))
        added, removed = added + len(new) - pairs, removed + len(old) - pairs
        changed += pairs
    assert (found.added, found.removed, found.changed) == (added, removed, changed)
    assert found.changed_text == changed
