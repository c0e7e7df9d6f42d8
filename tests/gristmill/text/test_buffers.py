"""string_buffers: every kind of text column gives the texts back."""

from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pytest

from gristmill.errors import GristmillError
from gristmill.text.buffers import string_buffers

TEXTS = ["grist", None, "", "Mühle", "\x00", "磨坊"]


def _texts(array: pa.Array | pa.ChunkedArray) -> list[str]:
    data, offsets = string_buffers(array)
    assert len(offsets) == len(array) + 1
    return [data[a:b].tobytes().decode() for a, b in pairwise(offsets)]


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
)
def test_kinds(kind: pa.DataType) -> None:
    array = pa.array(TEXTS, pa.string()).cast(kind)
    wanted = [text or "" for text in TEXTS]
    assert _texts(array) == wanted
    assert _texts(array[2:5]) == wanted[2:5]
    assert _texts(array[3:3]) == []
    assert _texts(pa.chunked_array([array, array[1:], array[:0]])) == wanted + wanted[1:]
    assert _texts(pa.chunked_array([array[1:4]])) == wanted[1:4]


def test_empty_and_null_columns() -> None:
    assert _texts(pa.array([], pa.string())) == []
    assert _texts(pa.chunked_array([], pa.string())) == []
    assert _texts(pa.array([None, None], pa.string())) == ["", ""]
    assert _texts(pa.nulls(2)) == ["", ""]


def test_a_null_that_covers_bytes_is_empty() -> None:
    offsets = pa.array([0, 2, 4], pa.int32()).buffers()[1]
    array = pa.Array.from_buffers(
        pa.string(), 2, [pa.py_buffer(b"\x01"), offsets, pa.py_buffer(b"abcd")]
    )
    assert _texts(array) == ["ab", ""]


def test_no_copy_of_the_bytes() -> None:
    array = pa.array(["grist", "mill"], pa.large_string())
    data, offsets = string_buffers(array)
    assert data.ctypes.data == array.buffers()[2].address
    assert offsets.ctypes.data == array.buffers()[1].address


def test_other_types_are_refused() -> None:
    with pytest.raises(GristmillError, match="int64 is not text"):
        string_buffers(pa.array([1]))
