"""Read a split: batches of RAW, every record once.

In: a `Split`. Out: an iterable of `pa.RecordBatch`, and its report. Shown by: `python -m
curation.readers 'crawl/*.warc.gz'`. Limit: one pass, forward only.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import IO, Any

import pyarrow as pa

from curation.readers.bytestream import GzipStream, PlainStream, find_member, find_record
from curation.readers.cursor import Cursor
from curation.readers.folders import add_file
from curation.readers.lines import add_json_line, lines
from curation.readers.schema import Rows, sha1_hex
from curation.readers.source import parse_source
from curation.readers.splits import Split, cuttable, packing_of, whole_files
from curation.readers.tables import open_parquet, read_row_groups
from curation.readers.warc import WarcReader
from gristmill import fs
from gristmill.errors import GristmillError


@dataclass(slots=True)
class Reading:
    """Iterate for the batches of a split; `report` is complete afterwards.

    report: start, stop (offsets, WARC ranges only), skipped (records by type).
    """

    split: Split
    report: dict[str, Any] = field(default_factory=lambda: {"skipped": {}})

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        split = self.split
        if split.format in ("warc", "wet"):
            for file in split.files:
                yield from self._warc(file)
        elif split.format == "parquet":
            file = split.files[0]
            yield from read_row_groups(file.path, file.name, split.first, split.last, split.fields)
        else:
            yield from _flushed(self._rows())

    def _warc(self, file: fs.InputFile) -> Iterator[pa.RecordBatch]:
        split = self.split
        stop = split.last if split.last >= 0 else file.size
        with fs.open_file(file.path) as opened:
            start, cursor = _warc_cursor(opened, file, split.first, stop)
            if cursor is None:
                self.report.update(start=start, stop=start)
                return
            reader = WarcReader(cursor, file.name, start)
            yield from reader.batches()
            skipped = self.report["skipped"]
            for kind, count in reader.skipped.items():
                skipped[kind] = skipped.get(kind, 0) + count
            self.report.update(start=start, stop=reader.stop_at)

    def _rows(self) -> Iterator[Rows]:
        """The builder, after every record."""
        split, rows = self.split, Rows()
        by_line = split.format == "jsonl" or (split.format == "text" and split.unit == "line")
        for file in split.files:
            if not by_line:
                add_file(rows, file, split.format == "html", split.base_url)
                yield rows
                continue
            with fs.open_file(file.path) as opened:
                for _ in _add_lines(rows, opened, file, split):
                    yield rows
        if len(rows):
            yield rows


def read(split: Split) -> Reading:
    """The records of a split, each once, also those that cannot be used (with `error`)."""
    return Reading(split)


def _warc_cursor(
    opened: IO[bytes], file: fs.InputFile, first: int, stop: int
) -> tuple[int, Cursor | None]:
    """Where the range's first record starts, and a cursor there; None when it has none."""
    packing = packing_of(file.name)
    head = opened.read(4)
    opened.seek(0)
    if packing == "gzip" or head.startswith(b"\x1f\x8b\x08"):
        start = find_member(opened, first, file.size) if first else 0
        if start is None or (first and start >= stop):
            return file.size if start is None else start, None
        return start, Cursor(GzipStream(opened, start, file.size), stop)
    if packing is not None:
        return 0, Cursor(PlainStream(_unpacked(opened, packing)), 1 << 62)
    start = find_record(opened, first, file.size) if first else 0
    if start is None or (first and start >= stop):
        return file.size if start is None else start, None
    return start, Cursor(PlainStream(opened, start, file.size), stop)


def _unpacked(opened: IO[bytes], packing: str) -> IO[bytes]:
    if packing == "xz":
        return lzma.open(opened)
    return pa.CompressedInputStream(pa.PythonFile(opened, "r"), packing)


def _add_lines(rows: Rows, opened: IO[bytes], file: fs.InputFile, split: Split) -> Iterator[None]:
    """Add each line of a range or of a whole packed file."""
    packing = packing_of(file.name)
    stream: GzipStream | PlainStream
    start, stop = 0, None
    if packing == "gzip":
        stream = GzipStream(opened, 0, file.size)
    elif packing is not None:
        stream = PlainStream(_unpacked(opened, packing))
    else:
        stop = split.last if split.last >= 0 else None
        start = _line_start(opened, split.first, file.size)
        stream = PlainStream(opened, start, file.size)
    for offset, length, line, error in lines(stream, start, stop):
        if error is not None or line is None:
            rows.add(file.name, offset, length, error=error or "too_large")
        elif not line.strip():
            continue
        elif split.format == "jsonl":
            add_json_line(rows, file.name, offset, length, line, split.fields)
        else:
            rows.add(
                file.name,
                offset,
                length,
                text=line.rstrip(b"\r").decode("utf-8", "replace"),
                payload_sha1=sha1_hex(line),
            )
        line = None  # it may be long, and what follows takes time
        yield


def _line_start(opened: IO[bytes], first: int, size: int) -> int:
    """Position of the first line that starts at or after `first`."""
    if not first:
        return 0
    opened.seek(first - 1)
    at = first - 1
    while block := opened.read(1 << 20):
        end = block.find(b"\n")
        if end >= 0:
            return at + end + 1
        at += len(block)
    return size


def _flushed(states: Iterator[Rows]) -> Iterator[pa.RecordBatch]:
    """Batches as the builder fills; the rest at the end."""
    rows = None
    for rows in states:
        if rows.full:
            yield rows.flush()
    if rows is not None and len(rows):
        yield rows.flush()


def read_record(
    source: Any, name: str, offset: int, length: int, payload_sha1: str | None = None
) -> pa.RecordBatch | None:
    """One record again by its locator, for `why --text`; None when it is no longer there."""
    spec = parse_source(source)
    file = next((file for file in spec.files() if file.name == name), None)
    if file is None:
        raise GristmillError(f"no file {name!r} under {', '.join(spec.patterns)}; was it moved?")
    split = whole_files(spec, (file,))
    if spec.format in ("warc", "wet", "jsonl") and cuttable(spec, file):
        split = replace(split, first=offset, last=offset + 1)
    elif spec.format == "parquet":
        split = replace(split, first=0, last=open_parquet(file.path).num_row_groups)
    for batch in read(split):
        for row, (at, sha1) in enumerate(
            zip(batch["offset"].to_pylist(), batch["payload_sha1"].to_pylist(), strict=True)
        ):
            if at == offset and payload_sha1 in (None, sha1):
                return batch.slice(row, 1)
    return None
