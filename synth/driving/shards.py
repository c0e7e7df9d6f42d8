"""Shards of a request log: written by one rename, read a row group at a time, merged when small.

In: entries. Out: Parquet files that any reader opens. Shown by: `ls STORE/.requests/*/`.
Limit: locks and renames are those of one machine or of a POSIX network file system.

A merged shard appears before its parts go, and names them in its metadata: a crash between the two
leaves parts that the next merge takes away.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.fs import flush_to_disk
from synth.driving.answers import SCHEMA

GROUP_ROWS = 1024  # rows read together: a few hundred kB of text
SMALL, MERGED = 16 << 20, 256 << 20  # bytes: shards below the first are merged up to the second
FEW = 8  # so many small shards may stay
_STALE = 3600.0  # seconds after which a temporary file is a dead run's
_PARTS = b"parts"
_DOUBLES = (
    "logprob",
    "value",
    "token_logprobs.list.element",
    "top_logprobs.list.element.list.element",
)


def write_shard(folder: Path, table: pa.Table, name: str | None = None) -> Path:
    """Publish rows as one shard; it is on disk when this returns."""
    target = folder / (name or new_name())
    with _publishing(target) as writer:
        writer.write_table(table, row_group_size=GROUP_ROWS)
    return target


def new_name() -> str:
    """Names sort by the time of writing."""
    return f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.parquet"


def listed(folder: Path) -> list[Path]:
    """Published shards, oldest first."""
    return sorted(p for p in folder.glob("*.parquet") if not p.name.startswith("."))


def open_shard(path: Path) -> pq.ParquetFile:
    """A shard, its pages checked against their checksums as they are read."""
    return pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False)


def merge_small(folder: Path) -> list[str]:
    """Merge small shards while nobody else does; notes about those that cannot be read."""
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return []  # another run merges, or the file system has no locks
    else:
        _clear(folder)
        return [note for parts in _batches(listed(folder)) for note in _merge(folder, parts)]
    finally:
        os.close(lock)


def _clear(folder: Path) -> None:
    """Remove what crashes left: temporary files, and parts of shards that were merged."""
    for file in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - file.stat().st_mtime > _STALE:
                file.unlink()
    for path in listed(folder):
        if "-merged" not in path.name:
            continue
        with contextlib.suppress(OSError, pa.ArrowInvalid):
            known = pq.read_schema(path).metadata or {}
            for part in json.loads(known.get(_PARTS, b"[]")):
                (folder / part).unlink(missing_ok=True)


def _batches(paths: Sequence[Path]) -> list[list[Path]]:
    """Neighbouring small shards, joined up to MERGED bytes."""
    small = [(path, size) for path in paths if (size := path.stat().st_size) < SMALL]
    if len(small) <= FEW:
        return []
    batches: list[list[Path]] = [[]]
    total = 0
    for path, size in small:
        if total + size > MERGED:
            batches.append([])
            total = 0
        batches[-1].append(path)
        total += size
    return [batch for batch in batches if len(batch) > 1]


def _merge(folder: Path, paths: Sequence[Path]) -> list[str]:
    notes, good = [], []
    for path in paths:
        try:
            with open_shard(path) as file:
                file.read()
            good.append(path)
        except (OSError, pa.ArrowException) as error:
            notes.append(damage(path, error))
    if len(good) < 2:
        return notes
    target = folder / good[0].name.replace(".parquet", f"-merged{uuid.uuid4().hex[:6]}.parquet")
    names = json.dumps([path.name for path in good]).encode()
    with _publishing(target, {_PARTS: names}) as writer:
        held: list[pa.Table] = []
        for path in good:
            with open_shard(path) as file:
                held.append(file.read())
            if sum(map(len, held)) >= 8 * GROUP_ROWS:
                writer.write_table(pa.concat_tables(held), row_group_size=GROUP_ROWS)
                held = []
        if held:
            writer.write_table(pa.concat_tables(held), row_group_size=GROUP_ROWS)
    for path in good:
        path.unlink(missing_ok=True)
    return notes


def damage(path: Path, error: BaseException) -> str:
    """What to say of a shard that cannot be read."""
    return (
        f"the request log {path} is damaged ({str(error)[:120]}) and was skipped: its requests "
        "are made again; remove the file to be rid of this note"
    )


@contextlib.contextmanager
def _publishing(target: Path, metadata: dict[bytes, bytes] | None = None) -> Iterator[Any]:
    """A Parquet writer whose file gets its name once it is whole and on disk."""
    temporary = target.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        with pq.ParquetWriter(
            temporary,
            SCHEMA.with_metadata(metadata),
            compression="zstd",
            compression_level=1,
            use_dictionary=["finish_reason", "max_tokens"],
            use_byte_stream_split=list(_DOUBLES),
            write_page_checksum=True,
            write_statistics=False,
        ) as writer:
            yield writer
        flush_to_disk(temporary)
        os.rename(temporary, target)
        flush_to_disk(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
