"""Histograms: every number is in one bin, and bins are round."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.errors import GristmillError
from gristmill.histogram import Histogram, histogram
from gristmill.store import Store
from tests.make_store import put, put_documents

Numbers = st.lists(st.integers(0, 10**7) | st.none(), min_size=1, max_size=60)
Fractions = st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=60)


def of(folder: Path, values: list[int | None] | list[float]) -> Histogram | None:
    kind = pa.float64() if isinstance(values[0], float) else pa.int64()
    table = pa.table({"v": pa.array(values, kind)})
    dataset = put(Store(folder), "numbers", {"": ("rows", [table])}, {"values": repr(values)})
    return histogram(dataset, "v")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(Numbers)
def test_whole_numbers_lie_from_one_edge_up_to_the_next(
    tmp_path: Path, values: list[int | None]
) -> None:
    found = of(tmp_path, values)
    numbers = [value for value in values if value is not None]
    if found is None:
        assert not numbers
        return
    expected = [
        sum(low <= value < high for value in numbers)
        for low, high in zip(found.edges, found.edges[1:], strict=False)
    ]
    assert found.counts == expected
    assert sum(found.counts) + found.zeros == len(numbers) == found.values
    assert found.edges == sorted(set(found.edges)) and len(found.edges) < 90


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(Fractions)
def test_no_fraction_is_lost(tmp_path: Path, values: list[float]) -> None:
    found = of(tmp_path, values)
    assert found is not None and sum(found.counts) == len(values) and not found.zeros
    assert found.edges[0] <= min(values) and found.edges[-1] >= max(values)


def test_zeros_stand_apart_on_a_logarithmic_axis(tmp_path: Path) -> None:
    found = of(tmp_path, [0, 0, 3, 1000])
    assert found is not None and found.log and found.zeros == 2
    assert found.edges[0] == 3.0 and found.edges[-1] > 1000
    even = of(tmp_path, [1.0, 2.0, float("nan"), float("inf")])
    assert even is not None and not even.log and even.values == 2


def test_lengths_of_texts(tmp_path: Path) -> None:
    dataset = put_documents(Store(tmp_path), "web", range(20))
    found = histogram(dataset, "text")
    assert found is not None and dict(zip(found.edges, found.counts, strict=False)) == {
        15.0: 10,
        16.0: 10,
    }
    with pytest.raises(GristmillError, match="no numbers"):
        histogram(dataset, "url")


def test_numbers_at_the_ends_of_what_there_is(tmp_path: Path) -> None:
    for values in ([1e16, 1e16 + 2], [0.0, 1.7e308], [-1.7e308, 1.7e308], [5e-324, 1.0], [0.1] * 3):
        found = of(tmp_path, values)
        assert found is not None and sum(found.counts) == len(values), values
    table = pa.table({"v": pa.array([2**64 - 1, 3], pa.uint64())})
    hashes = histogram(put(Store(tmp_path), "hashes", {"": ("rows", [table])}), "v")
    assert hashes is not None and sum(hashes.counts) == 2
