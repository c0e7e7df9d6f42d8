"""Spilling: arrays on disk, in pieces and by part, so that memory does not grow with the corpus.

In: rows of uint64 and the part that each belongs to. Out: files of which one part can be read
alone.
Shown by: `ls STORE/.staging/*/sign/00000/files` while a deduplication runs.
Limit: native byte order; files are for the run that wrote them, not for keeping.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]


def task_id(number: int) -> str:
    """Ids that sort as their numbers do."""
    return f"{number:05d}"


def task_files(staging: str | Path, phase: str, number: int) -> Path:
    """The folder of the intermediate files of a finished task."""
    return Path(staging) / phase / task_id(number) / "files"


def row_groups(path: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """A shard's row groups, one in memory at a time."""
    with pq.ParquetFile(path) as parquet:
        for group in range(parquet.num_row_groups):
            yield parquet.read_row_group(group, columns=columns)


def mapped(path: Path) -> np.ndarray[Any, Any]:
    """A .npy file as a memory map; writes to it stay in memory."""
    # mode c, not r: kernels would be compiled a second time for read-only arrays
    array: np.ndarray[Any, Any] = np.load(path, mmap_mode="c")
    return array


def writable(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """A new .npy file as a memory map."""
    array: np.ndarray[Any, Any] = np.lib.format.open_memmap(path, "w+", dtype, shape)
    with open(path, "r+b") as file:  # a full disk is an error here, and a SIGBUS later
        os.posix_fallocate(file.fileno(), 0, max(1, path.stat().st_size))
    return array


class NpyWriter:
    """A .npy file written in pieces, so that no piece stays in memory."""

    def __init__(self, path: Path, dtype: Any, shape: tuple[int, ...]) -> None:
        self._file = open(path, "wb")
        self._dtype = np.dtype(dtype)
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(self._file, header)

    def write(self, piece: np.ndarray[Any, Any]) -> None:
        np.ascontiguousarray(piece, self._dtype).tofile(self._file)

    def close(self) -> None:
        self._file.close()


class ColumnFile:
    """Columns of all documents of a shard in an Arrow file, read by position without loading it."""

    def __init__(self, path: Path) -> None:
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
            self._table = reader.read_all()

    def take(self, rows: I64 | pa.Array) -> pa.Table:
        """The rows at these positions; nulls where the position is null."""
        return self._table.take(pa.array(rows) if isinstance(rows, np.ndarray) else rows)


class RunsWriter:
    """A file of uint64 rows in runs, each sorted by part, so that parts can be read alone."""

    def __init__(self, path: Path, width: int, parts: int) -> None:
        self._path = path
        self._width = width
        self._parts = parts
        self._file = open(path, "wb")
        self._cuts: list[I64] = []
        self._written = 0

    def write(self, rows: U64, part: I64) -> None:
        """Append a run of rows [n, width], each of which belongs to part `part[i]`."""
        order = np.argsort(part, kind="stable")
        rows[order].tofile(self._file)
        sizes = np.bincount(part, minlength=self._parts)
        cuts = np.concatenate(([0], np.cumsum(sizes))) + self._written
        self._written = int(cuts[-1])
        self._cuts.append(cuts.astype(np.int64))

    def close(self) -> None:
        self._file.close()
        cuts = np.array(self._cuts, np.int64).reshape(-1, self._parts + 1)
        np.save(self._path.with_suffix(".cuts.npy"), cuts)


@dataclass(frozen=True, slots=True)
class Run:
    """Rows start..end of a file that a RunsWriter wrote."""

    path: Path
    start: int
    end: int
    width: int

    def load(self) -> U64:
        count = (self.end - self.start) * self.width
        flat = np.fromfile(self.path, np.uint64, count, offset=self.start * self.width * 8)
        return flat.reshape(-1, self.width)


def read_runs(paths: Iterable[Path], part: int, width: int) -> Iterator[Run]:
    """The runs of one part, file after file, in the order in which they were written."""
    for path in paths:
        cuts = mapped(path.with_suffix(".cuts.npy"))
        for start, end in zip(cuts[:, part].tolist(), cuts[:, part + 1].tolist(), strict=True):
            if end > start:
                yield Run(path, start, end, width)


def load_runs(paths: Iterable[Path], part: int, width: int) -> U64:
    """All rows of one part."""
    runs = [run.load() for run in read_runs(paths, part, width)]
    return np.concatenate([np.empty((0, width), np.uint64), *runs])


def mapped_rows(path: Path, width: int, dtype: Any = np.uint64) -> np.ndarray[Any, Any]:
    """A raw file of rows as a memory map [n, width]; writes to it stay in memory."""
    count = path.stat().st_size // (8 * width)
    if count == 0:  # an empty file cannot be mapped
        return np.empty((0, width), dtype)
    return np.memmap(path, dtype, "c", shape=(count, width))
