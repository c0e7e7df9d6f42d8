"""Prepared rows: token ids on disk, read in place.

In: rows as sequences of ids, and numbers. Out: a folder; `open_prepared` maps it. Shown by: `python
-m pytest tests/train/data/test_prepare.py`. Limit: a row's sequences are its own: a prompt that
two answers share is kept twice.

    ids.bin      uint32[tokens]            starts.bin   int64[rows * parts + 1]
    learnt.bin   uint8[tokens]             numbers.bin  float64[rows, columns]
    top_ids.bin, top_logprobs.bin          int32 and float32 [tokens, k], of a teacher's rows
    rows.arrow   id, and columns of text   meta.json    names, counts, the chat template
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from train.spec import Rows

_META, _NAMES = "meta.json", "rows.arrow"
_BLOCK = 1 << 20
DTYPES = {"ids": np.uint32, "learnt": np.uint8, "starts": np.int64, "numbers": np.float64}
TOP = {"top_ids": np.int32, "top_logprobs": np.float32}


@dataclass(frozen=True, slots=True)
class Meta:
    """What the folder holds."""

    parts: tuple[str, ...]  # names of a row's sequences: answer; chosen, rejected; …
    numbers: tuple[str, ...]  # columns of numbers; NaN where a row has none
    rows: int
    template: str  # the chat template, "" where no row is a chat
    special: tuple[int, ...]  # ids of special tokens
    ends: tuple[int, ...]  # special ids that end a learnt answer
    top: int = 0  # a teacher's tokens a place
    longest: int = 0  # tokens of the longest sequence


class Prepared:
    """The rows of a folder. Sequence n is part n % parts of row n // parts."""

    def __init__(self, folder: Path) -> None:
        self.meta = _meta(json.loads((folder / _META).read_text()))
        self.folder = folder
        self.starts = self._map("starts", np.int64)
        self.ids = self._map("ids", np.uint32)
        self.learnt = self._map("learnt", np.uint8)
        width = len(self.meta.numbers)
        flat = self._map("numbers", np.float64) if width else np.zeros(0)
        self.numbers = flat.reshape(self.meta.rows, width)
        self.top = {
            name: self._map(name, dtype).reshape(-1, self.meta.top)
            for name, dtype in TOP.items()
            if self.meta.top
        }

    def __len__(self) -> int:
        return self.meta.rows

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """A column of numbers, float64[rows]."""
        found: npt.NDArray[np.float64] = self.numbers[:, self.meta.numbers.index(name)]
        return found

    @cached_property
    def table(self) -> pa.Table:
        """`id`, and the columns of text that the stage's kind keeps, over the file's memory."""
        with pa.memory_map(str(self.folder / _NAMES)) as source:
            return pa.ipc.open_file(source).read_all()

    def total(self, spec: Rows) -> int:
        """Rows that a stage takes, each epoch counted."""
        return max(1, round(spec.epochs * len(self)))

    def steps(self, spec: Rows) -> int:
        """Optimiser steps; the last one has what is left."""
        return -(-self.total(spec) // spec.batch)

    def _map(self, name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        file = self.folder / f"{name}.bin"
        if not file.stat().st_size:
            return np.zeros(0, dtype)
        return np.memmap(file, dtype, "r")


def _meta(loaded: dict[str, Any]) -> Meta:
    parts, numbers, special, ends = (
        tuple(loaded[name]) for name in ("parts", "numbers", "special", "ends")
    )
    rest = (loaded["rows"], loaded["template"], special, ends, loaded["top"], loaded["longest"])
    return Meta(parts, numbers, *rest)


def open_prepared(folder: str | Path) -> Prepared:
    """Rows that `train.data.prepare` wrote."""
    return Prepared(Path(folder))


@dataclass(frozen=True, slots=True)
class Tokenised:
    """A sequence to write: ids, which are learnt, and a teacher's tokens where it has them."""

    ids: Sequence[int]
    learnt: Sequence[bool]
    top: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None = None  # ids and log p, [tokens, k]


class Writer:
    """Writes a folder, row after row."""

    def __init__(self, folder: Path, schema: pa.Schema, top: int = 0) -> None:
        folder.mkdir(parents=True)
        self.folder, self.rows, self.tokens, self._top = folder, 0, 0, top
        self._longest = 0
        names = [*DTYPES, *(TOP if top else ())]
        self._files: dict[str, BinaryIO] = {n: open(folder / f"{n}.bin", "wb") for n in names}
        self._names = pa.ipc.new_file(str(folder / _NAMES), schema)
        self._put("starts", [0], np.int64)

    def add(
        self, rows: Sequence[Sequence[Tokenised]], numbers: npt.ArrayLike, names: pa.RecordBatch
    ) -> None:
        """Rows: their sequences, numbers [n, columns], and their ids."""
        flat = [sequence for row in rows for sequence in row]
        self._put("ids", [n for sequence in flat for n in sequence.ids], np.uint32)
        self._put("learnt", [n for sequence in flat for n in sequence.learnt], np.uint8)
        if self._top:
            given = [sequence.top for sequence in flat if sequence.top is not None]
            for place, (name, dtype) in enumerate(TOP.items()):
                self._put(name, np.concatenate([top[place] for top in given]), dtype)
        ends = self.tokens + np.cumsum([len(sequence.ids) for sequence in flat], dtype=np.int64)
        self._put("starts", ends, np.int64)
        self._put("numbers", numbers, np.float64)
        self._names.write_batch(names)
        self.rows += len(rows)
        self._longest = max(self._longest, *(len(sequence.ids) for sequence in flat))
        self.tokens = int(ends[-1]) if len(ends) else self.tokens

    def close(self, meta: Meta) -> None:
        """The folder is whole when meta.json is there; its rows and longest one are known here."""
        for file in self._files.values():
            file.close()
        self._names.close()
        _write_meta(self.folder, replace(meta, rows=self.rows, longest=self._longest))

    def _put(self, name: str, values: npt.ArrayLike | None, dtype: npt.DTypeLike) -> None:
        np.ascontiguousarray(values, dtype).tofile(self._files[name])


def join_parts(parts: Sequence[Path], target: Path) -> None:
    """One folder of the rows of several, in their order; memory is a block of a file."""
    target.mkdir(parents=True)
    metas = [_meta(json.loads((part / _META).read_text())) for part in parts]
    for name in [*(n for n in DTYPES if n != "starts"), *(TOP if metas[0].top else ())]:
        with open(target / f"{name}.bin", "wb") as out:
            for part in parts:
                with open(part / f"{name}.bin", "rb") as file:
                    shutil.copyfileobj(file, out, _BLOCK)
    with open(target / "starts.bin", "wb") as out:
        before = 0
        np.zeros(1, np.int64).tofile(out)
        for part in parts:
            starts = np.memmap(part / "starts.bin", np.int64, "r")
            for at in range(1, len(starts), _BLOCK):
                (starts[at : at + _BLOCK] + before).tofile(out)
            before += int(starts[-1])
    _join_names([part / _NAMES for part in parts], target / _NAMES)
    ends = tuple(sorted({end for meta in metas for end in meta.ends}))
    rows, longest = sum(meta.rows for meta in metas), max(meta.longest for meta in metas)
    _write_meta(target, replace(metas[0], rows=rows, ends=ends, longest=longest))


def _join_names(files: Sequence[Path], target: Path) -> None:
    with pa.memory_map(str(files[0])) as first:
        schema = pa.ipc.open_file(first).schema
    with pa.ipc.new_file(str(target), schema) as out:
        for file in files:
            with pa.memory_map(str(file)) as source:
                opened = pa.ipc.open_file(source)
                for number in range(opened.num_record_batches):
                    out.write_batch(opened.get_batch(number))


def _write_meta(folder: Path, meta: Meta) -> None:
    found = {name: getattr(meta, name) for name in Meta.__slots__}
    (folder / _META).write_text(json.dumps(found))
