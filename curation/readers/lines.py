"""JSONL and plain text: one document a line, or one a file.

In: a byte range of a .jsonl, or a whole compressed file (.gz, .zst, .bz2, .xz). Out: rows of
schema RAW.
Shown by: `python -m curation.readers FILE.jsonl.gz`. Limit: compressed files are read whole by
one task; a line above MAX_RECORD_BYTES is passed over as "too_large".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from curation.readers.bytestream import GzipStream, PlainStream
from curation.readers.schema import MAX_RECORD_BYTES, Rows, sha1_hex, valid_text

_LONG = 1 << 20


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields of a row are what; others go to `metadata`."""

    text: str = "text"
    html: str | None = None
    id: str | None = "id"
    url: str | None = "url"
    date: str | None = "date"
    language: str | None = "language"
    metadata: bool | tuple[str, ...] = True

    def named(self) -> set[str]:
        """The fields that have a column of their own."""
        every = (self.text, self.html, self.id, self.url, self.date, self.language)
        return {name for name in every if name}


def lines(
    stream: GzipStream | PlainStream, start: int, stop: int | None
) -> Iterator[tuple[int, int, bytes | None, str | None]]:
    """(offset, length, line, error) of each line in [start, stop); line None when too long.

    Offsets count bytes of the decompressed stream. A range that starts inside a line leaves it to
    the range before.
    """
    data, at, offset = b"", 0, start
    while True:
        end = data.find(b"\n", at)
        if end >= 0:
            if stop is not None and offset >= stop:
                return
            line, length = [data[at:end]], end - at
            at = end + 1
            if length > _LONG:
                data, at = data[at:], 0
            yield offset, length, line.pop(), None  # nothing of a long line stays here
            offset += length + 1
            continue
        if stop is not None and offset >= stop:
            return
        parts, size, piece = [data[at:]], len(data) - at, b""
        while size <= MAX_RECORD_BYTES:
            piece = _more(stream)
            if not piece or b"\n" in piece:
                break
            parts.append(piece)
            size += len(piece)
            piece = b""
        if size > MAX_RECORD_BYTES:
            length, piece = _pass_line(stream, size, piece)
            yield offset, length, None, "too_large"
            offset += length + 1
            data, at = piece, 0
            if not piece:
                break
            continue
        data, at = b"".join([*parts, piece]), 0
        parts.clear()
        if not piece:
            break
    if data[at:] or stream.error:
        yield offset, len(data) - at, data[at:], stream.error


def _more(stream: GzipStream | PlainStream) -> bytes:
    """The next piece, over members."""
    return stream.piece() or (stream.take_pending() if stream.next_member() else b"")


def _pass_line(stream: GzipStream | PlainStream, size: int, piece: bytes) -> tuple[int, bytes]:
    """Skip to the end of a line that is too long: its length, and what follows it."""
    while b"\n" not in piece:
        size += len(piece)
        piece = _more(stream)
        if not piece:
            return size, b""
    head, _, rest = piece.partition(b"\n")
    return size + len(head), rest


def add_json_line(
    rows: Rows, file: str, offset: int, length: int, line: bytes, fields: Fields
) -> None:
    """One JSONL row; a line that is no object, or has no text, is a row with its error."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        rows.add(file, offset, length, error="bad_json", payload_sha1=sha1_hex(line))
        return
    add_row(rows, file, offset, length, row, fields)


def add_row(
    rows: Rows, file: str, offset: int, length: int, row: dict[str, Any], fields: Fields
) -> None:
    """One row of named values: text or HTML, and what is known of it."""
    text, html = row.get(fields.text), row.get(fields.html) if fields.html else None
    body = html if fields.html else text
    if isinstance(body, str):
        body = valid_text(body).encode()
    error = None if isinstance(body, bytes) else "no_text"
    if body is None or not isinstance(body, bytes):
        body = b""
    elif not body:
        error = "empty"
    if len(body) > MAX_RECORD_BYTES:
        error = "too_large"
    rows.add(
        file,
        offset,
        length,
        url=_string(row, fields.url),
        date=_string(row, fields.date),
        payload=body if fields.html else None,
        payload_sha1=sha1_hex(body) if error is None else None,
        content_type="text/html" if fields.html else None,
        charset="utf-8" if isinstance(html, str) else None,
        text=None if fields.html else body.decode("utf-8", "replace"),
        language=_string(row, fields.language),
        id=_string(row, fields.id),
        metadata=_metadata(row, fields),
        error=error,
    )


def _string(row: dict[str, Any], name: str | None) -> str | None:
    value = row.get(name) if name else None
    if value is None or isinstance(value, (dict, list)):
        return None
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return valid_text(value if isinstance(value, str) else str(value))


def _metadata(row: dict[str, Any], fields: Fields) -> str | None:
    """The other fields as a JSON object, keys as they stand in the row."""
    if fields.metadata is False:
        return None
    if fields.metadata is True:
        named = fields.named()
        rest = {key: value for key, value in row.items() if key not in named}
    else:
        rest = {key: row[key] for key in fields.metadata if key in row}
    if not rest:
        return None
    return valid_text(json.dumps(rest, ensure_ascii=False, default=_json_value))


def _json_value(value: Any) -> Any:
    """Values of Parquet that JSON has no form for."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)
