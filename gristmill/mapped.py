"""Versions as memory maps: columns of Parquet shards read in place, without decoding or copying.

In: a version of a mapped kind (`gristmill.schema.Kind.mapped`). Out: columns that are indexed like
arrays, and the memory addresses of a token dataset's documents. Shown by: `python -m
gristmill.mapped STORE tokens/web`. Limit: local files; shards that Gristmill wrote.

A fixed-width column that is required, plain and not compressed stands in the file as an array
behind one page header; a binary one as (length, bytes) pairs. So a token dataset needs no second
copy for a trainer, opening reads manifests only, and any Parquet reader still reads it.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.errors import StoreError
from gristmill.store import Dataset, Store

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
_FIXED = {
    pa.int8(): np.int8,
    pa.int32(): np.int32,
    pa.int64(): np.int64,
    pa.float32(): np.float32,
    pa.float64(): np.float64,
}
_PREFIX = 4  # bytes of a binary value's length


@dataclass(frozen=True, slots=True)
class _Chunk:
    """One column chunk: where its page's bytes begin in the file, and how many they are."""

    first: int
    size: int


class _Shard:
    """One Parquet file: its bytes, and the rows and chunks of its row groups."""

    def __init__(self, path: Path) -> None:
        with open(path, "rb") as file:
            self.data = np.frombuffer(
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8
            )
        self.path = path
        self.meta = pq.read_metadata(path)
        groups = [self.meta.row_group(n) for n in range(self.meta.num_row_groups)]
        self.bounds = np.cumsum([0, *(group.num_rows for group in groups)])
        self.names: list[str] = self.meta.schema.to_arrow_schema().names

    def chunk(self, group: int, name: str, values: int) -> _Chunk:
        """The chunk's values: they take `values` bytes and end where the chunk ends."""
        column = self.meta.row_group(group).column(self.names.index(name))
        plain = column.compression == "UNCOMPRESSED" and not column.has_dictionary_page
        header = column.total_compressed_size - values
        if not plain or column.path_in_schema != name or not 0 < header < 4096:
            raise StoreError(
                f"{self.path}: column {name!r} cannot be mapped: it was written by another tool, "
                "or as another kind of row; build the dataset again with Gristmill"
            )
        return _Chunk(column.data_page_offset + header, values)


class _Files:
    """The shards of a version, opened when first touched."""

    def __init__(self, dataset: Dataset) -> None:
        rows = [shard["rows"] for shard in dataset.manifest["shards"]]
        self.bounds = np.cumsum([0, *rows])
        self._paths = dataset.files
        self._open: dict[int, _Shard] = {}

    def __len__(self) -> int:
        return int(self.bounds[-1])

    def __getitem__(self, number: int) -> _Shard:
        if number not in self._open:
            self._open[number] = _Shard(self._paths[number])
        return self._open[number]

    def parts(self, rows: I64) -> list[tuple[int, I64, I64]]:
        """Shard, places in `rows`, and row numbers within the shard, for every shard touched."""
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            outside = rows[(rows < 0) | (rows >= len(self))][0]
            raise IndexError(f"row {outside} is outside the {len(self)} rows of the dataset")
        shards = np.searchsorted(self.bounds, rows, "right") - 1
        found = []
        for number in np.unique(shards).tolist():
            places = np.flatnonzero(shards == number)
            found.append((number, places, rows[places] - self.bounds[number]))
        return found


class Column:
    """A fixed-width column of a version, read in place."""

    def __init__(self, files: _Files, name: str, dtype: npt.DTypeLike) -> None:
        self._files, self._name = files, name
        self.dtype = np.dtype(dtype)
        self._views: dict[tuple[int, int], npt.NDArray[Any]] = {}

    def __len__(self) -> int:
        return len(self._files)

    def take(self, rows: Sequence[int] | I64) -> npt.NDArray[Any]:
        """Values of any rows: [n] -> [n]."""
        asked = np.asarray(rows, np.int64)
        out = np.empty(asked.shape, self.dtype)
        for number, places, local in self._files.parts(asked):
            shard = self._files[number]
            groups = np.searchsorted(shard.bounds, local, "right") - 1
            first = int(groups[0])
            if (groups == first).all():
                out[places] = self._view(number, first)[local - shard.bounds[first]]
                continue
            for group in np.unique(groups).tolist():
                here = groups == group
                out[places[here]] = self._view(number, group)[local[here] - shard.bounds[group]]
        return out

    def __getitem__(self, asked: slice) -> npt.NDArray[Any]:
        """Values of a range of rows, as a copy."""
        start, stop, step = asked.indices(len(self))
        if step != 1:
            raise IndexError(f"step {step}: a column is read by ranges; use take() for other rows")
        out = np.empty(max(0, stop - start), self.dtype)
        bounds, at = self._files.bounds, start
        while at < stop:
            number = int(np.searchsorted(bounds, at, "right")) - 1
            shard, local = self._files[number], at - int(bounds[number])
            group = int(np.searchsorted(shard.bounds, local, "right")) - 1
            values = self._view(number, group)[local - int(shard.bounds[group]) :][: stop - at]
            out[at - start : at - start + len(values)] = values
            at += len(values)
        return out

    def groups(self, shard: int) -> tuple[I64, U64]:
        """Row groups of a shard: bounds of their rows [g + 1], and where the column lies in each.

        For kernels that read by address; addresses hold for as long as this object lives.
        """
        bounds = self._files[shard].bounds
        views = [self._view(shard, group) for group in range(len(bounds) - 1)]
        addresses = np.array([view.ctypes.data for view in views], np.uint64)
        return bounds + self._files.bounds[shard], addresses

    def _view(self, number: int, group: int) -> npt.NDArray[Any]:
        found = self._views.get((number, group))
        if found is None:
            shard = self._files[number]
            rows = int(shard.bounds[group + 1] - shard.bounds[group])
            chunk = shard.chunk(group, self._name, rows * self.dtype.itemsize)
            raw = shard.data[chunk.first : chunk.first + chunk.size]
            found = self._views[number, group] = raw.view(self.dtype)
        return found


def open_column(dataset: Dataset, name: str) -> Column:
    """A fixed-width column as a map; StoreError where the dataset has none of that name."""
    return _column(_Files(dataset), dataset, name)


def _column(files: _Files, dataset: Dataset, name: str) -> Column:
    schema = dataset.schema
    if name not in schema.names or schema.field(name).type not in _FIXED:
        raise StoreError(f"{dataset.ref} has no fixed-width column {name!r}: {schema.names}")
    return Column(files, name, _FIXED[schema.field(name).type])


class Tokens:
    """A token dataset read in place: one document a row."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._files = _Files(dataset)
        self._count = _column(self._files, dataset, "count")
        self._start = _column(self._files, dataset, "start")
        self._bases: dict[tuple[int, int, str], int] = {}
        self.has_mask = "loss_mask" in dataset.schema.names
        self.dtype = np.dtype(_token_type(dataset))

    @property
    def documents(self) -> int:
        return len(self._files)

    def counts(self, start: int = 0, stop: int | None = None) -> npt.NDArray[np.int32]:
        """Tokens of the documents of a range: int32[n]."""
        return self._count[start : self.documents if stop is None else stop]

    def take_counts(self, documents: I64) -> npt.NDArray[np.int32]:
        """Tokens of any documents: [n] -> int32[n]."""
        return self._count.take(documents)

    def read(self, document: int) -> npt.NDArray[Any]:
        """The tokens of one document, as a view of the file."""
        number = int(np.searchsorted(self._files.bounds, document, "right")) - 1
        at = int(self.addresses(np.array([document]))[0])
        data = self._files[number].data
        first = at - data.ctypes.data
        size = int(self.take_counts(np.array([document]))[0]) * self.dtype.itemsize
        return data[first : first + size].view(self.dtype)

    def addresses(self, documents: I64) -> U64:
        """Where each document's first token lies in memory: int64[n] -> uint64[n].

        The addresses hold for as long as this object lives.
        """
        return self._addresses(documents, "tokens", self.dtype.itemsize)

    def mask_addresses(self, documents: I64) -> U64 | None:
        """Where each document's loss mask lies (one byte a token), or None without masks."""
        return self._addresses(documents, "loss_mask", 1) if self.has_mask else None

    def groups(self, shard: int) -> tuple[I64, U64]:
        """Row groups of a shard: bounds of their rows [g + 1], and four addresses [g, 4] of each.

        `start`, `count`, the base of tokens and that of masks (0: none); the first token of row r
        lies at base + (r - bounds[g] + 1) * 4 + start[r] * width.
        """
        bounds, starts = self._start.groups(shard)
        addresses = np.zeros((len(starts), 4), np.uint64)
        addresses[:, 0], addresses[:, 1] = starts, self._count.groups(shard)[1]
        for group in range(len(starts)):
            addresses[group, 2] = self._base(shard, group, "tokens", self.dtype.itemsize)
            if self.has_mask:
                addresses[group, 3] = self._base(shard, group, "loss_mask", 1)
        return bounds, addresses

    def _addresses(self, documents: I64, name: str, width: int) -> U64:
        out = np.empty(len(documents), np.uint64)
        for number, places, local in self._files.parts(documents):
            shard = self._files[number]
            groups = np.searchsorted(shard.bounds, local, "right") - 1
            starts = self._start.take(documents[places])
            for group in np.unique(groups).tolist():
                here = groups == group
                first_row = int(shard.bounds[group])
                base = self._base(number, group, name, width)
                within = (local[here] - first_row + 1) * _PREFIX + starts[here] * width
                out[places[here]] = (base + within).astype(np.uint64)
        return out

    def _base(self, number: int, group: int, name: str, width: int) -> int:
        """The address that document `start` and row number are added to, for one row group."""
        found = self._bases.get((number, group, name))
        if found is None:
            shard, offset = self._files[number], int(self._files.bounds[number])
            first, end = (int(shard.bounds[group]) + offset, int(shard.bounds[group + 1]) + offset)
            starts, last = self._start[first : first + 1], self._start[end - 1 : end]
            tokens = int(last[0] - starts[0]) + int(self._count[end - 1 : end][0])
            chunk = shard.chunk(group, name, tokens * width + (end - first) * _PREFIX)
            self._verify(shard, chunk, first, width)
            found = shard.data.ctypes.data + chunk.first - int(starts[0]) * width
            self._bases[number, group, name] = found
        return found

    def _verify(self, shard: _Shard, chunk: _Chunk, document: int, width: int) -> None:
        prefix = int(shard.data[chunk.first : chunk.first + _PREFIX].view(np.uint32)[0])
        if prefix != int(self._count[document : document + 1][0]) * width:
            raise StoreError(
                f"{shard.path}: its tokens do not lie where its counts say; "
                "`gristmill verify` tells whether the file is damaged"
            )


def open_tokens(dataset: Dataset) -> Tokens:
    """A token dataset as a map; opening reads its manifest and one footer."""
    if "tokens" not in dataset.schema.names:
        raise StoreError(f"{dataset.ref} holds no tokens; make some with `use: tokenize`")
    return Tokens(dataset)


def _token_type(dataset: Dataset) -> type[np.uint16] | type[np.uint32]:
    """uint16 or uint32, by the first row that has tokens."""
    for path in dataset.files:
        with pq.ParquetFile(path, memory_map=True) as file:  # else it reads all of a row group
            for batch in file.iter_batches(1024, columns=["count", "tokens"], use_threads=False):
                for count, tokens in zip(batch["count"], batch["tokens"], strict=True):
                    if count.as_py():
                        wide = len(tokens.as_py()) != 2 * count.as_py()
                        return np.uint32 if wide else np.uint16
    return np.uint16


def main() -> None:
    """Print what a token dataset is, read in place."""
    tokens = open_tokens(Store(sys.argv[1])[sys.argv[2]])
    print(f"{tokens.dataset.ref}: {tokens.documents:,} documents, {tokens.dtype}")


if __name__ == "__main__":
    main()
