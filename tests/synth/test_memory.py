"""Memory: what is held depends on the window, not on how many rows there are."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

from synth.driver import drive
from synth.driving.index import Index
from synth.driving.log import Logs
from synth.driving.services import Services
from synth.engines.fake import FakeSpec
from synth.items import Row
from synth.ops import parse_ops
from tests.synth.fake_flows import ASK, rows


class Watched(Row):
    """A row that can be counted while it lives."""

    __slots__ = ("__weakref__",)


def test_rows_alive_are_those_of_the_window() -> None:
    alive: weakref.WeakValueDictionary[int, Watched] = weakref.WeakValueDictionary()
    most = 0

    def source() -> Iterator[Row]:
        nonlocal most
        for row in rows(5000):
            made = Watched(row.id, row.number, row.source, row.seed)
            alive[row.number] = made
            most = max(most, len(alive))
            yield made

    services = Services({"main": FakeSpec(capacity=16)}, shared=False)
    for count, _ in enumerate(drive(source(), parse_ops(ASK), services, Logs(None), window=100)):
        if count % 1000 == 0:
            gc.collect()
    assert most <= 104


def test_the_index_takes_sixteen_bytes_a_request() -> None:
    import numpy as np

    index = Index()
    for shard in range(40):
        index.add(np.random.default_rng(shard).integers(0, 1 << 63, 2500).astype(np.uint64), shard)
    assert len(index) == 100_000
    assert sum(keys.nbytes + places.nbytes for keys, places in index._runs) == 1_600_000
