"""Shards: where they are cut, what their records count."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill import shards
from gristmill.shards import ShardWriter, file_sha256, totals
from tests.make_store import DOCUMENT, documents


def test_a_record_tells_rows_bytes_digests_and_counts(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, DOCUMENT, "document") as writer:
        writer.write(documents(range(7)))
        writer.write(documents(range(7, 10)).to_batches()[0])
    (record,) = writer.records
    file = tmp_path / record["file"]
    assert (record["rows"], record["bytes"]) == (10, file.stat().st_size)
    assert record["sha256"] == file_sha256(file)
    assert record["counts"] == {"language": {"de": 5, "en": 5}, "source": {"crawl": 10}}
    assert record["text_bytes"] == sum(len(f"Grain number {n}.") for n in range(10))
    assert pq.read_table(file)["id"].to_pylist() == documents(range(10))["id"].to_pylist()


def test_batches_leave_no_trace_in_the_digest(tmp_path: Path) -> None:
    whole, parts = ShardWriter(tmp_path / "a", DOCUMENT), ShardWriter(tmp_path / "b", DOCUMENT)
    table = documents(range(50))
    whole.write(table)
    for start in range(0, 50, 7):
        parts.write(table.slice(start, 7))
    assert whole.close()[0]["digest"] == parts.close()[0]["digest"]


def test_shards_are_cut_by_size_between_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = documents(range(40))
    monkeypatch.setattr(shards, "SHARD_BYTES", table.slice(0, 10).nbytes)
    monkeypatch.setattr(shards, "ROW_GROUP_BYTES", 1)
    with ShardWriter(tmp_path, DOCUMENT, "document") as writer:
        for start in range(0, 40, 10):
            writer.write(table.slice(start, 10))
    assert [record["rows"] for record in writer.records] == [10] * 4
    assert [record["file"] for record in writer.records] == [f"{n:05d}.parquet" for n in range(4)]
    assert totals(writer.records)["rows"] == 40
    assert len({record["digest"] for record in writer.records}) == 4


def test_no_rows_still_leave_one_shard_with_the_schema(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, DOCUMENT, "document") as writer:
        writer.write(documents([]))
    (record,) = writer.records
    assert record["rows"] == 0
    assert pq.read_schema(tmp_path / record["file"]).equals(DOCUMENT)


def test_columns_are_put_in_order_and_missing_ones_are_errors(tmp_path: Path) -> None:
    table = documents(range(3))
    with ShardWriter(tmp_path, DOCUMENT) as writer:
        writer.write(table.select(list(reversed(DOCUMENT.names))))
        with pytest.raises(KeyError, match="url"):
            writer.write(table.drop_columns("url"))


def test_a_task_that_fails_leaves_no_record(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ShardWriter(tmp_path, DOCUMENT) as writer:
        writer.write(documents(range(3)))
        raise RuntimeError
    assert writer.records == []


def test_columns_of_too_many_values_are_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "COUNTED_VALUES", 3)
    many = documents(range(8)).set_column(4, "source", pa.array([f"s{n}" for n in range(8)]))
    with ShardWriter(tmp_path, DOCUMENT, "document") as writer:
        for start in range(0, 8, 2):
            writer.write(many.slice(start, 2))
    assert set(writer.records[0]["counts"]) == {"language"}


def test_totals_give_up_a_column_that_one_shard_gave_up() -> None:
    base = {"bytes": 1, "text_bytes": 2}
    counted = {**base, "rows": 2, "counts": {"a": {"x": 2}, "b": {"y": 2}}}
    partly = {**base, "rows": 3, "counts": {"a": {"x": 1, "z": 2}}}
    empty = {**base, "rows": 0, "counts": {}}
    for order in ([counted, partly, empty], [partly, empty, counted], [empty, counted, partly]):
        found = totals(order)
        assert (found["rows"], found["bytes"], found["text_bytes"]) == (5, 3, 6)
        assert found["counts"] == {"a": {"x": 3, "z": 2}}


def test_nulls_are_counted_as_empty(tmp_path: Path) -> None:
    table = documents(range(2)).set_column(6, "language", pa.array([None, "en"]))
    with ShardWriter(tmp_path, DOCUMENT, "document") as writer:
        writer.write(table)
    assert writer.records[0]["counts"]["language"] == {"": 1, "en": 1}
