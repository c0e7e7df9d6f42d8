"""The crash marker: which record a worker has in hand, so that a crash can be laid to it.

In: a mark before each risky call (an HTML parser in C). Out: a small file that outlives the
process.
Shown by: tests/pipelines/test_crash.py. Limit: one marker a process.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

WIDTH = 512  # bytes; longer marks are cut
_descriptor: int | None = None
_held = ""


def open_marker(path: Path) -> None:
    """Marks of this process go to `path` from now on."""
    global _descriptor
    close_marker()
    _descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def close_marker() -> None:
    """Marks go nowhere again."""
    global _descriptor
    if _descriptor is not None:
        os.close(_descriptor)
    _descriptor = None
    hold()


def record_marks(table: pa.Table) -> list[str]:
    """Marks of a batch's records: offset, digest of the id, and file.

    With the id, because records of one gzip member share their offset.
    """
    columns = (table[name].to_pylist() for name in ("file", "offset", "id"))
    return [_record_mark(*record) for record in zip(*columns, strict=True)]


def _record_mark(file: str, offset: int, id: str | None) -> str:
    sharp = hashlib.blake2b((id or "").encode(), digest_size=6).hexdigest()  # ids may be long
    return f"{offset} {sharp} {file}".encode()[:WIDTH].decode("utf-8", "ignore").strip()


def mark(record: str = "") -> None:
    """`record` is in hand (about 1 µs); an empty string: nothing is, or what `hold` says."""
    if _descriptor is not None:
        os.pwrite(_descriptor, (record or _held).encode()[:WIDTH].ljust(WIDTH), 0)


def hold(record: str = "") -> None:
    """`record` is in hand until the next hold, whatever is marked and let go meanwhile."""
    global _held
    _held = record
    mark()


def read_marker(path: Path) -> str:
    """The last record marked in `path`, or an empty string."""
    try:
        return path.read_bytes().decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""
