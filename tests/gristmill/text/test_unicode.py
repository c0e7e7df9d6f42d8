"""The Unicode tables against `regex` and Python; the decoder against Python's lossy decoding."""

from __future__ import annotations

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from gristmill.text import unicode as u
from gristmill.text.generate_unicode import CODE_POINTS, FLAG_PATTERNS, build


@njit(nogil=True)
def _records(tables, points):  # type: ignore[no-untyped-def]
    out = np.zeros(len(points), np.int64)
    lower = np.zeros(len(points), np.int64)
    for i in range(len(points)):
        out[i] = u.lookup(tables, points[i])
        lower[i] = u.simple_lower(tables, points[i])
    return out, lower


@njit(nogil=True)
def _decode_all(data):  # type: ignore[no-untyped-def]
    out = np.zeros(len(data), np.int64)
    n, i = 0, 0
    while i < len(data):
        cp, length = u.decode(data, i, len(data))
        out[n] = cp
        n += 1
        i += length
    return out[:n]


def test_tables_are_those_of_the_generator() -> None:
    table, version = build()
    if version != u.unicode_version():
        pytest.skip(f"regex knows Unicode {version}, the tables are of {u.unicode_version()}")
    assert np.array_equal(table, u.tables())


def test_records_are_those_of_regex() -> None:
    points = np.arange(CODE_POINTS)
    records, lower = _records(u.tables(), points)
    for flag, pattern in FLAG_PATTERNS.items():
        compiled = regex.compile(pattern, regex.V1)
        for point in (*range(0x250), *range(0x300, CODE_POINTS, 997)):
            assert bool(records[point] & flag) == bool(compiled.match(chr(point))), pattern
    # Python's tables are older; what they lower to one character must agree
    for point in range(0x1F000):
        single = chr(point).lower()
        if len(single) == 1:
            assert lower[point] == ord(single) or chr(point) == single
    assert lower[0x130] == ord("i")
    assert np.array_equal((records & u.CASED) > 0, lower != points)


def test_categories_and_word_breaks() -> None:
    def record(char: str) -> int:
        return int(u.lookup.py_func(u.tables(), ord(char)))

    assert u.CATEGORIES[record("é") >> u.CATEGORY_SHIFT & 31] == "Ll"
    assert record("é") & u.WB_MASK == u.WB_ALETTER
    assert record("\u3000") & u.WB_MASK == u.WB_WSEG_SPACE
    assert record("\u200d") & u.WB_MASK == u.WB_ZWJ
    assert record("你") & u.IDEOGRAPH and record("ー") & u.IDEOGRAPH and not record("、") & u.LETTER
    assert record("เ") & u.PREPENDED and record("ก") & u.SPACELESS


@settings(deadline=None)  # compiles
@given(st.binary(max_size=60) | st.text(max_size=30).map(lambda t: t.encode("utf-8", "ignore")))
def test_decoder_is_pythons_lossy_decoding(raw: bytes) -> None:
    points = _decode_all(np.frombuffer(raw, np.uint8))
    assert "".join(map(chr, points)) == raw.decode("utf-8", "replace")
