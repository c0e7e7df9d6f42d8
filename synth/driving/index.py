"""The index of a request log: 16 bytes a logged request, looked up by the hundred.

In: keys of a shard. Out: for asked keys, the places of rows whose key begins alike.
Shown by: `python -m pytest tests/synth/test_log.py`.
Limit: keys are told apart by 8 of their 16 bytes; the reader compares the rest.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
_ROW_BITS = np.uint64(32)


def prefixes(keys: bytes) -> U64:
    """The first 8 of every 16 bytes: bytes[16 n] -> uint64[n]."""
    return np.frombuffer(keys, np.uint64)[::2].copy()


class Index:
    """Sorted runs, each at least twice the next: adding is cheap, and there are few to search."""

    def __init__(self) -> None:
        self._runs: list[tuple[U64, U64]] = []

    def __len__(self) -> int:
        return sum(len(keys) for keys, _ in self._runs)

    def add(self, keys: U64, shard: int) -> None:
        """Rows 0, 1, … of a shard."""
        if not len(keys):
            return
        places = (np.uint64(shard) << _ROW_BITS) | np.arange(len(keys), dtype=np.uint64)
        order = np.argsort(keys, kind="stable")
        run = (keys[order], places[order])
        while self._runs and len(self._runs[-1][0]) <= 2 * len(run[0]):
            run = _merge(self._runs.pop(), run)
        self._runs.append(run)

    def find(self, keys: U64) -> tuple[npt.NDArray[np.int64], U64]:
        """Which of the asked, and a place where it may lie: pairs, in the order of the places."""
        asked, places = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
        for run, where in self._runs:
            first = np.searchsorted(run, keys, "left")
            hits = np.flatnonzero(
                (first < len(run)) & (run[np.minimum(first, len(run) - 1)] == keys)
            )
            if not hits.size:
                continue
            count = np.searchsorted(run, keys[hits], "right") - first[hits]
            repeated = np.repeat(hits, count)
            within = np.arange(len(repeated)) - np.repeat(np.cumsum(count) - count, count)
            asked.append(repeated)
            places.append(where[first[repeated] + within])
        found, at = np.concatenate(asked), np.concatenate(places)
        order = np.argsort(at, kind="stable")
        return found[order], at[order]


def split(places: U64) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Places -> shard numbers and row numbers."""
    return (
        (places >> _ROW_BITS).astype(np.int64),
        (places & np.uint64(0xFFFFFFFF)).astype(np.int64),
    )


def _merge(left: tuple[U64, U64], right: tuple[U64, U64]) -> tuple[U64, U64]:
    keys = np.concatenate([left[0], right[0]])
    order = np.argsort(keys, kind="stable")
    return keys[order], np.concatenate([left[1], right[1]])[order]
