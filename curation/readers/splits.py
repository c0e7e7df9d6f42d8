"""Cut a source into splits, and check afterwards that neighbours met.

In: a source. Out: `Split`s, a function of the input alone, never of workers.
Shown by: `python -m curation.readers 'crawl/*.warc.gz'`. Limit: .gz, .zst and .lz4 files other than
gzipped WARC are read whole by one task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from curation.readers.lines import Fields
from curation.readers.source import Source, parse_source
from curation.readers.tables import check_columns, open_parquet
from gristmill import fs
from gristmill.errors import GristmillError

SPLIT_BYTES = 64 << 20  # compressed; four times that of what is not
GROUP_FILES = 2048
_FIELDS = Fields()
_PACKED = {".gz": "gzip", ".zst": "zstd", ".lz4": "lz4", ".bz2": "bz2", ".xz": "xz"}


def packing_of(name: str) -> str | None:
    """The compression that a file's name tells, as pyarrow calls it."""
    return next((kind for ending, kind in _PACKED.items() if name.lower().endswith(ending)), None)


@dataclass(frozen=True, slots=True)
class Split:
    """The input of one task: a range of one file, or several whole small files."""

    format: str
    files: tuple[fs.InputFile, ...]
    first: int = 0  # bytes, or row groups, of the one file
    last: int = -1  # -1: to the end
    fields: Fields = _FIELDS
    base_url: str | None = None
    unit: str = "file"

    @property
    def ranged(self) -> bool:
        """True for a part of a file."""
        return self.first > 0 or self.last >= 0

    @property
    def size(self) -> int:
        """About how many bytes of input."""
        total = sum(file.size for file in self.files)
        return self.last - self.first if self.ranged and self.format != "parquet" else total

    def __str__(self) -> str:
        name = self.files[0].name + (f" +{len(self.files) - 1}" if len(self.files) > 1 else "")
        return f"{name}[{self.first}:{self.last}]" if self.ranged else name


def plan_splits(source: Any, split_bytes: int = SPLIT_BYTES) -> list[Split]:
    """Splits of a source in the order of its files; GristmillError when there is nothing to read.

    Big files are cut where the format allows it, small ones put together. Parquet footers are read
    here, so a file with another schema is an error before anything runs.
    """
    spec = parse_source(source)
    splits: list[Split] = []
    group: list[fs.InputFile] = []

    def close() -> None:
        if group:
            splits.append(whole_files(spec, tuple(group)))
            group.clear()

    for file in spec.files():
        target = split_bytes if packing_of(file.name) else 4 * split_bytes
        if spec.format == "parquet":
            close()
            splits.extend(_row_groups(spec, file, target // 4))
        elif file.size > target and cuttable(spec, file):
            close()
            parts = -(-file.size // target)
            cuts = [i * file.size // parts for i in range(parts)] + [file.size]
            for first, last in pairwise(cuts):
                splits.append(replace(whole_files(spec, (file,)), first=first, last=last))
        else:
            full = sum(other.size for other in group) + file.size > target // 4
            if full or len(group) >= GROUP_FILES:
                close()
            group.append(file)
    close()
    return splits


def mismatched(
    splits: Sequence[Split], reports: Sequence[dict[str, Any]]
) -> list[tuple[list[int], Split]]:
    """Files whose ranges did not meet: (indices of their splits, the split that reads it whole).

    A range ends where the next one found its first record. They differ when bytes inside a record
    look like one (a stored .warc.gz inside a .warc.gz): then the whole file is to be read instead.
    """
    by_file: dict[str, list[int]] = {}
    for index, split in enumerate(splits):
        if split.ranged and split.format in ("warc", "wet"):
            by_file.setdefault(split.files[0].path, []).append(index)
    out = []
    for indices in by_file.values():
        pairs = pairwise(indices)
        if any(reports[one]["stop"] != reports[two]["start"] for one, two in pairs):
            out.append((indices, replace(splits[indices[0]], first=0, last=-1)))
    return out


def whole_files(spec: Source, files: tuple[fs.InputFile, ...]) -> Split:
    """A split that reads files from end to end."""
    return Split(spec.format, files, 0, -1, spec.fields, spec.base_url, spec.unit)


def cuttable(spec: Source, file: fs.InputFile) -> bool:
    """True where ranges of a file can be read on their own."""
    packing = packing_of(file.name)
    if spec.format in ("warc", "wet"):
        return packing in (None, "gzip")
    lined = spec.format == "jsonl" or (spec.format == "text" and spec.unit == "line")
    return packing is None and lined


def _row_groups(spec: Source, file: fs.InputFile, target: int) -> list[Split]:
    """Runs of row groups of about `target` bytes."""
    opened = open_parquet(file.path)
    check_columns(opened, file.path, spec.fields)
    counted = sum(opened.metadata.row_group(i).num_rows for i in range(opened.num_row_groups))
    if counted != opened.metadata.num_rows:
        raise GristmillError(
            f"{file.path!r} is a damaged Parquet file (its footer promises "
            f"{opened.metadata.num_rows} rows and lists {counted}); fetch it again"
        )
    splits, first, size = [], 0, 0
    for index in range(opened.num_row_groups):
        size += opened.metadata.row_group(index).total_byte_size
        if size >= target or index == opened.num_row_groups - 1:
            splits.append(replace(whole_files(spec, (file,)), first=first, last=index + 1))
            first, size = index + 1, 0
    return splits
