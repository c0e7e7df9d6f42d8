"""Source rows: of a dataset, of files, of lists of values, or of nothing at all.

In: `from:` of a step. Out: fixed ranges of rows (one a task), and the rows of a range.
Shown by: `python -m pytest tests/synth/test_step.py`.
Limit: a compressed JSONL file is read from its start for each of its ranges.

    from: web/final                              from: {values: {topic: [rivers, trains]}}
    from: {jsonl: "seeds/*.jsonl"}               from: {empty: 1000}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import IO, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.errors import GristmillError
from gristmill.fs import InputFile, open_file
from gristmill.store import Dataset
from synth.items import Row, well_formed
from synth.source.shots import ShotRows

BATCH = 256  # rows made Python values together
_PACKED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
_LINE = 10
Found = tuple[dict[str, Any], str]  # a row, and what is wrong with it


class Part(Protocol):
    """Neighbouring rows of one place; picklable."""

    @property
    def rows(self) -> int:
        """How many."""

    def read(self) -> Iterator[Found]:
        """Its rows in order."""

    def cut(self, first: int, rows: int) -> Part:
        """A range of them."""


@dataclass(frozen=True, slots=True)
class Span:
    """The rows of one task: `number` is the place of its first row in the source."""

    number: int
    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    def read(self, seed: int) -> Iterator[Row]:
        """Rows of a flow. One that cannot be read has `lost` set."""
        number = self.number
        for part in self.parts:
            for values, problem in part.read():
                row = Row(row_id(values), number, values, seed)
                if isinstance(part, ShotRows):
                    row.parents = part.parents(values)
                if problem:
                    row.fail("source", "unparsable", problem)
                yield row
                number += 1


def spans(parts: Sequence[Part], size: int, limit: int | None = None) -> list[Span]:
    """Ranges of `size` rows over parts, in order; at most `limit` rows."""
    found: list[Span] = []
    held: list[Part] = []
    number = taken = 0
    left = sum(part.rows for part in parts) if limit is None else limit
    for part in parts:
        first = 0
        while first < part.rows and left:
            rows = min(part.rows - first, size - taken, left)
            held.append(part.cut(first, rows))
            first, taken, left = first + rows, taken + rows, left - rows
            if taken == size:
                found.append(Span(number, tuple(held)))
                held, number, taken = [], number + taken, 0
    if held or not found:
        found.append(Span(number, tuple(held)))
    return found


def row_id(values: Mapping[str, Any]) -> str:
    """Its column `id`, else 32 hex digits of its values; never a place."""
    given = values.get("id")
    if given is not None and given != "":
        return str(given)
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class ParquetRows:
    """Rows of a Parquet file."""

    path: str
    first: int
    rows: int

    def cut(self, first: int, rows: int) -> ParquetRows:
        return ParquetRows(self.path, self.first + first, rows)

    def read(self) -> Iterator[Found]:
        with open_file(self.path) as raw, pq.ParquetFile(raw) as file:
            start, end, at = self.first, self.first + self.rows, 0
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                if at + size > start and at < end:
                    where = at
                    for batch in file.iter_batches(BATCH, [group]):
                        low, high = max(start - where, 0), min(end - where, batch.num_rows)
                        if low < high:
                            for values in batch.slice(low, high - low).to_pylist():
                                yield values, ""
                        where += batch.num_rows
                at += size


@dataclass(frozen=True, slots=True)
class JsonRows:
    """Lines of a JSONL file; `start` is the byte where line `first` begins, if that is known."""

    path: str
    first: int
    rows: int
    offsets: tuple[tuple[int, int], ...] = ((0, 0),)  # some lines, and where they begin

    def cut(self, first: int, rows: int) -> JsonRows:
        first += self.first
        near = max((pair for pair in self.offsets if pair[0] <= first), default=(0, 0))
        return JsonRows(self.path, first, rows, (near,))

    def read(self) -> Iterator[Found]:
        line, offset = self.offsets[0]
        with _lines(self.path, offset) as file:
            skip = self.first - line
            for number, raw in enumerate(islice(file, skip, skip + self.rows), self.first + 1):
                where = f"{self.path.rpartition('/')[2]}, line {number}"
                if not raw.strip():
                    continue
                try:
                    values = json.loads(raw)
                    if b"\\ud" in raw.lower():  # maybe half a surrogate pair
                        values = json.loads(well_formed(json.dumps(values, ensure_ascii=False)))
                except ValueError as error:
                    yield _broken(raw), f"{where} is no JSON: {error}"
                    continue
                if isinstance(values, dict):
                    yield values, ""
                else:
                    yield _broken(raw), f"{where} is no object: {raw[:60]!r}"


def _broken(raw: bytes) -> dict[str, Any]:
    """An id for a line that is no row: of its bytes."""
    return {"id": hashlib.sha256(raw).hexdigest()[:32]}


@dataclass(frozen=True, slots=True)
class ValueRows:
    """Every combination of lists of values; the last list turns fastest."""

    values: dict[str, tuple[Any, ...]]
    first: int
    rows: int

    def cut(self, first: int, rows: int) -> ValueRows:
        return ValueRows(self.values, self.first + first, rows)

    def read(self) -> Iterator[Found]:
        for number in range(self.first, self.first + self.rows):
            row = {}
            for name in reversed(self.values):
                number, place = divmod(number, len(self.values[name]))
                row[name] = self.values[name][place]
            yield {name: row[name] for name in self.values}, ""


@dataclass(frozen=True, slots=True)
class EmptyRows:
    """Rows with nothing but an id: for prompts that need no seed."""

    first: int
    rows: int

    def cut(self, first: int, rows: int) -> EmptyRows:
        return EmptyRows(self.first + first, rows)

    def read(self) -> Iterator[Found]:
        for number in range(self.first, self.first + self.rows):
            yield {"id": hashlib.sha256(f"empty {number}".encode()).hexdigest()[:32]}, ""


@dataclass(frozen=True, slots=True)
class ProceduralRows:
    """Rows of a generator of tasks (synth/procedural)."""

    options: dict[str, Any]
    seed: int  # the recipe's, unless the options have one
    first: int
    rows: int

    def cut(self, first: int, rows: int) -> ProceduralRows:
        return ProceduralRows(self.options, self.seed, self.first + first, rows)

    def read(self) -> Iterator[Found]:
        from synth.procedural import parse_source

        source = parse_source(self.options)
        for values in source.rows(self.first, self.rows, self.seed):
            yield values, ""


def dataset_parts(dataset: Dataset) -> list[Part]:
    """The shards of a version."""
    shards = dataset.manifest["shards"]
    return [
        ParquetRows(str(path), 0, shard["rows"])
        for path, shard in zip(dataset.files, shards, strict=True)
    ]


def file_parts(kind: str, files: Sequence[InputFile], every: int) -> list[Part]:
    """Files with their rows counted; of JSONL, where every so many lines begin."""
    found: list[Part] = []
    for file in files:
        if kind == "parquet":
            with open_file(file.path) as raw:
                found.append(ParquetRows(file.path, 0, pq.read_metadata(raw).num_rows))
        else:
            lines, offsets = _count_lines(file.path, every)
            found.append(JsonRows(file.path, 0, lines, offsets))
    return found


def value_parts(values: Mapping[str, Sequence[Any]]) -> list[Part]:
    """All combinations."""
    fixed = {name: tuple(listed) for name, listed in values.items()}
    return [ValueRows(fixed, 0, prod(map(len, fixed.values())))]


def _lines(path: str, offset: int) -> IO[bytes]:
    """A file's lines from a byte on; unpacked by its name's end."""
    packed = next((kind for end, kind in _PACKED.items() if path.endswith(end)), None)
    file = open_file(path)
    if packed is None:
        file.seek(offset)
        return file
    try:
        stream: Any = pa.CompressedInputStream(pa.PythonFile(file), packed)
        import io

        return io.BufferedReader(stream, 1 << 20)
    except (pa.ArrowException, OSError) as error:
        raise GristmillError(f"cannot read {path!r}: {error}") from None


def _count_lines(path: str, every: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Lines of a file, and where each `every`-th begins; of packed files only the first."""
    lines, at = 0, 0
    offsets = [(0, 0)]
    ended = True
    plain = not path.endswith(tuple(_PACKED))
    with _lines(path, 0) as file:
        while block := file.read(1 << 20):
            ends = np.flatnonzero(np.frombuffer(block, np.uint8) == _LINE)
            if plain:
                wanted = np.arange(-lines % every or every, len(ends) + 1, every)
                offsets += [(lines + int(n), at + int(ends[n - 1]) + 1) for n in wanted]
            lines += len(ends)
            at += len(block)
            ended = block.endswith(b"\n")
    return lines + (not ended), tuple(offsets)
