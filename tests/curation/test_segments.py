"""Segments: decisions, reasons and accounts of every record, whatever the ops."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curation.ops import Apply, Failure, Op, OpResult, Signals
from curation.readers import RAW
from curation.segments import Refined, cut, open_ops, refine, refine_one_by_one
from gristmill.marker import record_marks


class Short(Op):
    """Fails texts shorter than `least` bytes."""

    NAME: ClassVar[str] = "short"
    least: int = 5

    def open(self) -> Apply:
        def apply(table: pa.Table, signals: Signals) -> OpResult:
            size = pc.binary_length(table["text"]).to_numpy().astype(float)
            failure = Failure("short.min_bytes", size < self.least, size, self.least)
            return OpResult(failures=[failure], ledger={"bytes_seen": pa.array(size)})

        return apply


class NoX(Op):
    """Fails texts with an x."""

    NAME: ClassVar[str] = "no_x"

    def open(self) -> Apply:
        def apply(table: pa.Table, signals: Signals) -> OpResult:
            found = pc.count_substring(table["text"], "x").to_numpy().astype(float)
            return OpResult(failures=[Failure("no_x.any", found > 0, found, 0)])

        return apply


class Cut(Op):
    """Removes every y."""

    NAME: ClassVar[str] = "cut"
    EDITS: ClassVar[bool] = True

    def open(self) -> Apply:
        def apply(table: pa.Table, signals: Signals) -> OpResult:
            text = pc.replace_substring(table["text"], "y", "").combine_chunks()
            return OpResult(columns={"text": text})

        return apply


def raw(*texts: str | None, errors: dict[int, str] | None = None) -> pa.RecordBatch:
    rows: list[dict[str, Any]] = [
        {
            "file": "f",
            "offset": i,
            "length": 1,
            "url": f"u{i}",
            "text": text,
            "payload_sha1": f"{i}",
        }
        for i, text in enumerate(texts)
    ]
    for row, error in (errors or {}).items():
        rows[row]["error"] = error
    return pa.RecordBatch.from_pylist(rows, RAW)


def run(batch: pa.RecordBatch, *ops: Op, **options: Any) -> Refined:
    return refine(batch, cut(open_ops(ops)), **options)


def test_every_record_is_in_the_ledger_once_and_in_order() -> None:
    done = run(
        raw("long enough", "no", None, "x-rated text", errors={2: "truncated"}), Short(), NoX()
    )
    ledger = done.ledger.to_pylist()
    assert [row["offset"] for row in ledger] == [0, 1, 2, 3]
    assert [row["state"] for row in ledger] == ["kept", "dropped", "dropped", "dropped"]
    assert [row["reason"] for row in ledger] == [
        None,
        "short.min_bytes",
        "read.truncated",
        "no_x.any",
    ]
    assert [row["step_op"] for row in ledger] == [None, "short", "read", "no_x"]
    assert done.kept["text"].to_pylist() == ["long enough"]


def test_all_failing_rules_of_a_segment_are_kept_with_their_values() -> None:
    (row,) = run(raw("xx"), Short(), NoX()).ledger.to_pylist()
    assert row["reason"] == "short.min_bytes"
    assert row["rules"] == [
        {"rule": "short.min_bytes", "value": 2.0, "threshold": 5.0},
        {"rule": "no_x.any", "value": 2.0, "threshold": 0.0},
    ]


def test_rows_dropped_in_one_segment_do_not_reach_the_next() -> None:
    done = run(raw("xyxy", "yyyyyyyy", "fine text"), Short(), Cut(), Short())
    assert [row["reason"] for row in done.ledger.to_pylist()] == [
        "short.min_bytes",
        "short.min_bytes",
        None,
    ]
    assert done.ledger["bytes_seen"].to_pylist() == [4, 8, 9]
    assert done.ledger["bytes_seen_2"].to_pylist() == [None, 0, 9]


def test_evaluate_all_shows_every_segment_every_row_and_decides_alike() -> None:
    batch = raw("xyxy", "yyyyyyyy", "fine text")
    some = run(batch, Short(), Cut(), Short())
    every = run(batch, Short(), Cut(), Short(), evaluate_all=True)
    assert every.ledger["bytes_seen_2"].to_pylist() == [2, 0, 9]
    assert every.ledger["reason"].equals(some.ledger["reason"])
    assert every.kept.equals(some.kept)


def test_rejected_documents_keep_the_text_that_they_had_when_dropped() -> None:
    done = run(raw("yyx enough", "yy", "kept words"), NoX(), Cut(), Short())
    assert sorted(done.rejected["text"].to_pylist()) == ["", "yyx enough"]
    assert done.kept["text"].to_pylist() == ["kept words"]


def test_ids_are_given_at_birth_and_survive_edits() -> None:
    before = run(raw("some text", "other text")).kept["id"].to_pylist()
    after = run(raw("some text", "other text"), Cut()).kept["id"].to_pylist()
    assert before == after
    assert len(set(before)) == 2


def test_a_record_that_crashed_a_worker_is_dropped_and_says_so() -> None:
    marks = record_marks(run(raw("some text", "other text")).ledger)
    done = run(raw("some text", "other text"), skip=frozenset(marks[1:]))
    assert done.ledger["reason"].to_pylist() == [None, "read.crashed_worker"]


def test_one_record_at_a_time_gives_the_same() -> None:
    batch = raw("some text", "x", "many words", None, errors={3: "truncated"})
    ops = cut(open_ops([Short(), Cut(), NoX()]))
    one, all_ = refine_one_by_one(batch, ops), refine(batch, ops)
    assert (one.kept, one.rejected, one.ledger) == (all_.kept, all_.rejected, all_.ledger)


def test_documents_above_the_limit_are_dropped_before_any_op() -> None:
    done = run(raw("four", "fives", None), Short(least=0), max_doc_bytes=4)
    assert done.ledger["reason"].to_pylist() == [None, "read.too_large", None]
    assert done.ledger["rules"][1].as_py() == [
        {"rule": "read.too_large", "value": 5, "threshold": 4}
    ]
    assert done.ledger["bytes_seen"].to_pylist()[1] is None


def test_no_rows_have_the_schema_of_all_rows() -> None:
    nothing, something = (
        run(raw(), Short(), Cut(), NoX()),
        run(raw("text y"), Short(), Cut(), NoX()),
    )
    assert nothing.kept.schema.equals(something.kept.schema)
    assert nothing.ledger.schema.equals(something.ledger.schema)


@pytest.mark.parametrize("size", [0, 1, 7, 513])
def test_rows_in_are_rows_out_plus_rows_accounted_for(size: int) -> None:
    rng = np.random.default_rng(size)
    texts = ["".join(rng.choice(list("axy "), rng.integers(0, 12))) for _ in range(size)]
    done = run(raw(*texts), Short(), NoX(), Cut(), Short())
    assert done.ledger.num_rows == size
    assert done.kept.num_rows + done.rejected.num_rows == size
    states = done.ledger["state"].to_pylist()
    assert states.count("kept") == done.kept.num_rows
    lists = done.ledger["rules"].to_pylist()
    assert all(
        bool(rules) == (state == "dropped") for rules, state in zip(lists, states, strict=True)
    )
