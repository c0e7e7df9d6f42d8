"""Addresses: where the columns of any row lie in memory, in tables that a kernel can search.

In: datasets of a mapped kind, one after another as one long table. Out: tables of shards and of
row groups; `find` and the unaligned loads, for kernels. Shown by: mixtures/plan/gather.py.
Limit: little-endian machines.

Asking numpy for one row's columns costs a few microseconds a column, more than copying the row's
tokens; a kernel that finds them itself costs nanoseconds. Shards are opened when a kernel first
misses them: it ends with the shard's number, and is called again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

import gristmill.text  # noqa: F401  # says where compiled kernels are kept
from gristmill.mapped import open_column
from gristmill.store import Dataset
from mixtures.plan.block import I64

U64 = npt.NDArray[np.uint64]
Opener = Callable[[int], tuple[I64, U64]]  # shard -> bounds of row groups, addresses of columns


class Tables(NamedTuple):
    """What a kernel searches."""

    shards: I64  # [s + 1] first row of each shard
    begins: I64  # [s] a shard's first row group, -1 where it is not open
    ends: I64  # [s]
    bounds: I64  # [g] first row of each open row group
    columns: U64  # [g, c] where each column lies in it


class Addresses:
    """Datasets as one long table, whose shards open when first touched."""

    def __init__(self, parts: Sequence[tuple[Dataset, Opener]], columns: int) -> None:
        rows = [[shard["rows"] for shard in dataset.manifest["shards"]] for dataset, _ in parts]
        self.bases = np.cumsum([0, *map(sum, rows)])  # first row of each dataset
        self._parts = [(n, shard) for n, of in enumerate(rows) for shard in range(len(of))]
        self._openers = [opener for _, opener in parts]
        shards = len(self._parts)
        self.tables = Tables(
            np.cumsum([0, *(count for of in rows for count in of)]).astype(np.int64),
            np.full(shards, -1, np.int64),
            np.full(shards, -1, np.int64),
            np.zeros(0, np.int64),
            np.zeros((0, columns), np.uint64),
        )

    def open(self, shard: int) -> None:
        """Add the row groups of a shard. Tables are replaced whole: other threads may read them."""
        part, local = self._parts[shard]
        bounds, columns = self._openers[part](local)
        old = self.tables
        begins, ends = old.begins.copy(), old.ends.copy()
        begins[shard], ends[shard] = len(old.bounds), len(old.bounds) + len(columns)
        self.tables = Tables(
            old.shards,
            begins,
            ends,
            np.concatenate([old.bounds, bounds[:-1] + self.bases[part]]),
            np.concatenate([old.columns, columns.reshape(len(columns), -1)]),
        )


def columns_of(dataset: Dataset, names: Sequence[str]) -> tuple[Dataset, Opener]:
    """A dataset and the opener of some of its fixed-width columns."""
    columns = [open_column(dataset, name) for name in names]

    def opener(shard: int) -> tuple[I64, U64]:
        found = [column.groups(shard) for column in columns]
        return found[0][0], np.stack([addresses for _, addresses in found], axis=1)

    return dataset, opener


@njit(cache=True, nogil=True, boundscheck=False)
def find(tables, row):  # type: ignore[no-untyped-def]
    """The row group that a row of the tables lies in, or -1 - shard where that is not open."""
    shards, begins, ends, bounds, _ = tables
    shard = np.searchsorted(shards, row, side="right") - 1
    if begins[shard] < 0:
        return np.int64(-1 - shard)
    low, high = begins[shard], ends[shard] - 1
    while low < high:
        middle = (low + high + 1) // 2
        if bounds[middle] <= row:
            low = middle
        else:
            high = middle - 1
    return low


def _loader(bits: int, signed: bool, name: str) -> Any:
    """An intrinsic that loads an integer from an address that need not be aligned, as int64."""

    def load(typingctx, address):  # type: ignore[no-untyped-def]
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = builder.inttoptr(args[0], ir.IntType(bits).as_pointer())
            value = builder.load(pointer)
            value.align = 1
            if bits == 64:
                return value
            return (builder.sext if signed else builder.zext)(value, ir.IntType(64))

        return types.int64(types.uint64), codegen

    load.__name__ = load.__qualname__ = name
    return intrinsic(load)


load_u8 = _loader(8, False, "load_u8")
load_u16 = _loader(16, False, "load_u16")
load_u32 = _loader(32, False, "load_u32")
load_i32 = _loader(32, True, "load_i32")
load_i64 = _loader(64, True, "load_i64")
