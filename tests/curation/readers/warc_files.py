"""WARC bytes made to order, sound or broken."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path

from curation.readers import plan_splits, read


def page(number: int, size: int = 400) -> bytes:
    """An HTML body that no other number has."""
    words = " ".join(f"word{number}x{i}" for i in range(size // 10))
    head = f"<html><head><title>Page {number}</title></head>"
    return f"{head}<body><p>{words}</p></body></html>".encode()


def http(
    body: bytes, headers: str = "Content-Type: text/html\r\n", status: str = "200 OK"
) -> bytes:
    """A response block."""
    return f"HTTP/1.1 {status}\r\n{headers}\r\n".encode() + body


def record(
    block: bytes,
    number: int = 0,
    kind: str = "response",
    length: int | str | None = None,
    content_type: str = "application/http; msgtype=response",
    more: str = "",
) -> bytes:
    """One WARC record; `length` lies when given."""
    return (
        (
            f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://site.example/{number}\r\n"
            f"WARC-Date: 2024-01-02T03:04:05Z\r\nWARC-Record-ID: <urn:uuid:{number}>\r\n{more}"
            f"Content-Type: {content_type}\r\n"
            f"Content-Length: {len(block) if length is None else length}\r\n\r\n"
        ).encode()
        + block
        + b"\r\n\r\n"
    )


def member(data: bytes) -> bytes:
    """One gzip member."""
    return gzip.compress(data, 6, mtime=0)


def pages(count: int, size: int = 400) -> list[bytes]:
    """Sound response records."""
    return [record(http(page(i, size)), i) for i in range(count)]


def write(path: Path, parts: Iterable[bytes]) -> Path:
    """A file of these bytes."""
    path.write_bytes(b"".join(parts))
    return path


def rows_of(source: object, split_bytes: int = 64 << 20) -> list[dict[str, object]]:
    """Every row of a source, in order."""
    return [
        row
        for split in plan_splits(source, split_bytes)
        for batch in read(split)
        for row in batch.to_pylist()
    ]


def numbers(rows: Iterable[dict[str, object]]) -> list[int]:
    """The pages' numbers, of rows that can be used."""
    return [int(str(row["url"]).rsplit("/", 1)[1]) for row in rows if row["error"] is None]
