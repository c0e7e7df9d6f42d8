"""Duplicate rates and token counts: numbers that a reader can count by hand."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from gristmill.errors import GristmillError
from gristmill.repeats import removed, repeats
from gristmill.store import Store
from gristmill.token_counts import token_counts
from tests.make_store import LEDGER, documents, ledger, put, put_documents


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def texts(values: list[str | None], digested: bool = True) -> pa.Table:
    """Documents of these texts, at two hosts in turn."""
    table = documents(range(len(values)))
    urls = [f"https://User:x@H{n % 2}.example:8080/{n}" for n in range(len(values))]
    for name, column in {"text": values, "text_digest": values, "url": urls}.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(column, pa.string()))
    return table if digested else table.drop_columns(["text_digest"])


@pytest.mark.parametrize("digested", [True, False])
def test_both_readings_of_a_duplicate(store: Store, digested: bool) -> None:
    tables = [texts(["a", "b", "a"], digested), texts(["a", "c", "b"], digested)]
    (row,) = repeats(put(store, "web", {"": ("document", tables)}))
    assert row == {
        "rows": 6,
        "texts": 3,  # a, b, c
        "duplicates": 3,  # two further a, one further b
        "repeated": 5,  # all but c
        "duplicate_share": 0.5,
        "repeated_share": 0.833333,
    }


def test_a_group_knows_its_own_copies_and_those_elsewhere(store: Store) -> None:
    dataset = put(store, "web", {"": ("document", [texts(["a", "a", "a", "b", "c", None])])})
    rows = {row["host"]: row for row in repeats(dataset, by="host")}
    assert {host: row["rows"] for host, row in rows.items()} == {"h0.example": 3, "h1.example": 3}
    assert (rows["h0.example"]["duplicates"], rows["h0.example"]["repeated"]) == (1, 2)
    assert (rows["h1.example"]["duplicates"], rows["h1.example"]["repeated"]) == (0, 1)
    assert rows["h1.example"]["texts"] == 2  # a row without a digest is a row only
    assert len(repeats(dataset, by="host,language", top=2)) == 2


def test_no_rows_have_no_duplicates(store: Store) -> None:
    (row,) = repeats(put(store, "none", {"": ("document", [documents([])])}))
    assert row["rows"] == row["duplicates"] == row["repeated"] == row["duplicate_share"] == 0


def test_rows_without_texts_are_refused(store: Store) -> None:
    with pytest.raises(GristmillError, match="neither text_digest nor text"):
        repeats(put(store, "numbers", {"": ("rows", [pa.table({"n": [1]})])}))


def test_what_deduplication_removed_is_told_by_its_ledger(store: Store) -> None:
    clean = put_documents(store, "clean", range(4))
    dropped = [(n, "dropped", "exact_dedup", "exact_duplicate", []) for n in range(1)]
    kept = [(n, "kept", None, None, []) for n in range(1, 4)]
    partner = {"partner_id": (pa.string(), ["x", None, None, None])}
    unique = put(
        store,
        "unique",
        {
            "": ("document", [documents(range(1, 4))]),
            ".ledger": ("ledger", [ledger([*dropped, *kept], partner)]),
        },
        parents=[clean.ref],
        use="exact_dedup",
    )
    plain = {"": ("document", [documents(range(2, 4))]), ".ledger": ("ledger", [ledger(kept)])}
    last = put(store, "last", plain, parents=[unique.ref])
    assert "partner_id" not in LEDGER.names
    assert removed(last) == [
        {"step": unique.ref, "use": "exact_dedup", "rows": 4, "dropped": 1, "share": 0.25}
    ]


def test_tokens_by_group_with_sums_over_all_groups(store: Store) -> None:
    table = texts(["a", "b", "c", "d", "e"])
    table = table.append_column("token_count", pa.array([5, 0, 7, 0, 1], pa.int64()))
    table = table.set_column(4, "source", pa.array(["web", "none", "web", "none", "maths"]))
    dataset = put(store, "web", {"": ("document", [table])})
    found = token_counts(dataset, by="source", top=1)
    assert found.rows == [{"source": "web", "documents": 2, "tokens": 12}]
    assert (found.tokens, found.groups) == (13, 2)  # of all groups; one has no tokens
    assert token_counts(dataset).rows == [{"documents": 5, "tokens": 13}]


def test_a_token_dataset_counts_its_own_tokens(store: Store) -> None:
    table = pa.table(
        {
            "id": ["a", "b"],
            "start": pa.array([0, 3], pa.int64()),
            "count": pa.array([3, 4], pa.int32()),
            "tokens": [bytes(6), bytes(8)],
        }
    )
    schema = pa.schema([field.with_nullable(False) for field in table.schema])
    dataset = put(store, "tokens/web", {"": ("tokens", [table.cast(schema)])})
    assert token_counts(dataset).rows == [{"documents": 2, "tokens": 7}]


def test_documents_that_were_not_counted_say_what_to_do(store: Store) -> None:
    with pytest.raises(GristmillError, match="use: tokenize"):
        token_counts(put_documents(store, "web", range(2)))
