"""Identity: canonical JSON, digests of rows that forget how the rows were laid out."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.ids import (
    RowDigest,
    canonical_json,
    digest,
    document_id,
    schema_text,
    short,
    text_digests,
)
from gristmill.shards import stored

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_canonical_json_forgets_the_order_of_keys(value: Any) -> None:
    def reordered(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: reordered(item[key]) for key in reversed(list(item))}
        return [reordered(entry) for entry in item] if isinstance(item, list) else item

    assert canonical_json(reordered(value)) == canonical_json(value)
    assert len(digest(value)) == 64 and short(digest(value)) == digest(value)[:12]


def test_types_and_structure_are_told_apart() -> None:
    values = [1, 1.0, "1", True, None, [], {}, [1], {"a": 1}, {"a": [1]}, "", "null"]
    assert len({digest(value) for value in values}) == len(values)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (math.nan, r"\$"),
        ({"a": [1, math.inf]}, r"\$\.a\[1\]"),
        ({"a": Path("x")}, r"\$\.a.*PosixPath"),
        ({1: "x"}, "not a string"),
        ({"f": print}, "builtin_function"),
        ({"s": {1, 2}}, "set"),
        (b"x", "bytes"),
    ],
)
def test_values_without_a_canonical_form_raise_and_say_where(value: Any, where: str) -> None:
    with pytest.raises(TypeError, match=where):
        canonical_json(value)


def test_document_ids_depend_on_each_part_and_on_nothing_else() -> None:
    parts = ("https://a.org/", "2026-01-01", "ab" * 20)
    assert document_id(*parts) == document_id(*parts)
    assert len(document_id(*parts)) == 32
    others = {document_id("https://a.org/x", *parts[1:]), document_id(parts[0], None, parts[2])}
    others |= {document_id(*parts[:2], None), document_id(None, None, None)}
    assert len({document_id(*parts), *others}) == 5


def test_text_digests_of_text_bytes_and_null() -> None:
    assert text_digests(["ä", None, "", "a"]) == text_digests(["ä".encode(), b"", None, b"a"])
    assert len(set(text_digests(["a", "b", "", "\ud800"]))) == 4


_DAY = dt.datetime(2020, 1, 2, 3, 4, 5)
COLUMNS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "bool": (pa.bool_(), [True, None, False]),
    "int8": (pa.int8(), [1, None, -3]),
    "uint64": (pa.uint64(), [1, None, 2**63]),
    "float16": (pa.float16(), [1.5, None, 2.0]),
    "float64": (pa.float64(), [1.5, None, math.nan]),
    "timestamp_s": (pa.timestamp("s"), [_DAY, None, _DAY]),
    "timestamp_ns": (pa.timestamp("ns", "UTC"), [_DAY, None, _DAY]),
    "date32": (pa.date32(), [_DAY.date(), None, _DAY.date()]),
    "date64": (pa.date64(), [_DAY.date(), None, _DAY.date()]),
    "time32": (pa.time32("s"), [dt.time(1, 2, 3), None, dt.time(0)]),
    "duration": (pa.duration("us"), [dt.timedelta(1), None, dt.timedelta(0)]),
    "decimal": (pa.decimal128(10, 2), [Decimal("1.25"), None, Decimal("0")]),
    "binary": (pa.binary(), [b"a", None, b""]),
    "fixed_binary": (pa.binary(2), [b"ab", None, b"cd"]),
    "large_string": (pa.large_string(), ["a", None, ""]),
    "string_view": (pa.string_view(), ["a", None, ""]),
    "null": (pa.null(), [None] * 3),
    "dictionary": (pa.dictionary(pa.int32(), pa.string()), ["a", None, "a"]),
    "list": (pa.list_(pa.int32()), [[1], None, []]),
    "large_list": (pa.large_list(pa.string()), [["a", None], None, []]),
    "fixed_list": (pa.list_(pa.int8(), 2), [[1, 2], None, [3, 4]]),
    "struct": (
        pa.struct([("a", pa.int8()), ("b", pa.list_(pa.string()))]),
        [{"a": 1, "b": ["x"]}, None, {"a": None, "b": None}],
    ),
    "map": (pa.map_(pa.string(), pa.int8()), [[("a", 1)], None, []]),
    "deep": (
        pa.list_(pa.list_(pa.struct([("q", pa.string())]))),
        [[[{"q": "x"}], None, []], None, []],
    ),
    "not_null": (pa.list_(pa.field("item", pa.int8(), nullable=False)), [[1], None, [2, 3]]),
}


def _digest(table: pa.Table, rows: int) -> str:
    found = RowDigest(table.schema)
    for start in range(0, table.num_rows, rows):
        found.update(table.slice(start, rows))
    return found.hexdigest()


@pytest.mark.parametrize("name", COLUMNS)
def test_rows_are_the_same_in_any_chunks_and_back_from_parquet(name: str, tmp_path: Path) -> None:
    kind, values = COLUMNS[name]
    one = pa.table({"x": pa.array(values, kind)})
    one = one.cast(stored(one.schema))
    table = pa.concat_tables([one, one, one]).slice(1, 7)
    whole = _digest(table, 7)
    assert _digest(table, 1) == _digest(table, 2) == whole
    assert _digest(pa.table({"x": table["x"].combine_chunks()}), 3) == whole
    pq.write_table(table, tmp_path / "x.parquet")
    with pq.ParquetFile(tmp_path / "x.parquet") as file:
        assert schema_text(file.schema_arrow) == schema_text(table.schema)
        again = RowDigest(file.schema_arrow)
        for batch in file.iter_batches(2):
            again.update(batch)
    assert again.hexdigest() == whole
    assert _digest(table.slice(1), 7) != whole


ROWS = st.lists(
    st.tuples(
        st.none() | st.text(max_size=5),
        st.none() | st.integers(-5, 5),
        st.none() | st.lists(st.none() | st.text(max_size=2), max_size=3),
    ),
    max_size=8,
)
SCHEMA = pa.schema([("s", pa.string()), ("n", pa.int64()), ("l", pa.list_(pa.string()))])


def _table(rows: list[Any]) -> pa.Table:
    return pa.table([list(c) for c in zip(*rows, strict=True)] or [[], [], []], schema=SCHEMA)


@settings(max_examples=200)
@given(ROWS, ROWS, st.integers(1, 4))
def test_digests_are_equal_exactly_when_rows_are(first: Any, second: Any, rows: int) -> None:
    a, b = _table(first), _table(second)
    assert (_digest(a, rows) == _digest(b, 8)) == (a.to_pylist() == b.to_pylist())


def test_names_types_and_the_number_of_rows_count() -> None:
    digests = {
        _digest(pa.table({"a": pa.array([1], pa.int64())}), 1),
        _digest(pa.table({"b": pa.array([1], pa.int64())}), 1),
        _digest(pa.table({"a": pa.array([1], pa.int32())}), 1),
        _digest(pa.table({"a": pa.nulls(1)}), 1),
        _digest(pa.table({"a": pa.nulls(2)}), 1),
    }
    assert len(digests) == 5


def test_a_type_without_a_digest_is_an_error() -> None:
    runs = pa.RunEndEncodedArray.from_arrays([2, 3], [1, 2])
    with pytest.raises(TypeError, match="have no digest; cast"):
        _digest(pa.table({"x": runs}), 3)
