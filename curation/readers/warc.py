"""WARC and WET: every response and conversion record once, broken ones with their error.

In: a byte range of a .warc(.gz), .wet(.gz). Out: rows of schema RAW, and a report that lets the
ranges of one file be checked against each other. Shown by: `python -m curation.readers
FILE.warc.gz`.
Limit: one record is held in memory whole, up to MAX_RECORD_BYTES; revisits are counted, not
resolved.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from curation.readers.bytestream import NEXT_RECORD, starts_record
from curation.readers.cursor import NEWLINES, Cursor
from curation.readers.http import content_type_of, parse_response
from curation.readers.schema import MAX_RECORD_BYTES, Rows, sha1_hex

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})


@dataclass(slots=True)
class WarcReader:
    """Reads one range of one file; its numbers are right once it is used up."""

    cursor: Cursor
    file: str
    start: int
    skipped: Counter[str] = field(default_factory=Counter)
    stop_at: int = 0
    rows: Rows = field(default_factory=Rows)

    def report(self) -> dict[str, Any]:
        """What `check_neighbours` and the funnel need, JSON-able."""
        return {"start": self.start, "stop": self.stop_at, "skipped": dict(self.skipped)}

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Every record of the range; the report's numbers are final when it ends."""
        cursor, stream = self.cursor, self.cursor.stream
        while True:
            offset = cursor.to_record()
            if offset is None and stream.error is None:
                break
            if offset is not None:
                self._record(offset)
            if stream.error is not None:
                self._damage(offset)
                found = stream.resync()
                cursor.data, cursor.at = b"", 0
                if found is None:
                    self.stop_at = max(stream.used(0), cursor.stop)
                    break
            if self.rows.full:
                yield self.rows.flush()
        self.stop_at = self.stop_at or cursor.used()
        if len(self.rows):
            yield self.rows.flush()

    def _damage(self, offset: int | None) -> None:
        """A row for damaged bytes that lie outside any record."""
        stream = self.cursor.stream
        if offset is None:
            at = stream.offset(0)
            self.rows.add(self.file, at, max(0, stream.used(0) - at), error=stream.error)

    def _record(self, offset: int) -> None:
        cursor, stream = self.cursor, self.cursor.stream
        while len(cursor.data) - cursor.at < 8 and cursor.fill():
            pass
        if not starts_record(cursor.data[cursor.at : cursor.at + 16]):
            cursor.to_mark(0)
            self.rows.add(
                self.file, offset, cursor.used() - offset, error=stream.error or "not_warc"
            )
            return
        head = cursor.header()
        fields = _fields(head) if head is not None else {}
        kind = fields.get("warc-type", "").lower()
        if not kind or head is None:
            cursor.at += 5 if head is None else 0  # past its own first line
            cursor.to_mark(0)
            error = stream.error or "bad_warc_header"
            url = fields.get("warc-target-uri")
            self.rows.add(self.file, offset, cursor.used() - offset, url=url, error=error)
            return
        block = self._block(fields.get("content-length", ""))
        length = cursor.used() - offset
        mime = content_type_of(fields.get("content-type", "").encode())[0]
        wanted = kind in ("response", "conversion") or (kind == "resource" and mime in HTML_TYPES)
        if not wanted:
            self.skipped[kind] += 1
            if stream.error is not None:  # its end, or another record behind it, is lost
                self.rows.add(self.file, offset, length, error=stream.error)
            return
        wrong = stream.error or ("too_large" if block is None else None)
        self._add(kind, fields, block or b"", mime, offset, length, wrong)

    def _block(self, declared: str) -> bytes | memoryview | None:
        """A record's block, by its length, or by the next record where the length is wrong.

        None when it is too large to hold. Leaves the cursor behind the block.
        """
        cursor = self.cursor
        length = int(declared) if declared.isascii() and declared.isdigit() else -1
        if length > MAX_RECORD_BYTES and cursor.hop(length):
            return None
        if length < 0 or length > MAX_RECORD_BYTES:
            found = cursor.to_mark(MAX_RECORD_BYTES)
            return None if found is None else _without_trailer(found)
        block = cursor.take(length)
        if len(block) == length and self._ends_well():
            return block
        block = bytes(block)
        mark = NEXT_RECORD.search(block)
        if mark is not None:  # too long: the next record is inside
            cursor.data, cursor.at = block[mark.start() :] + cursor.data[cursor.at :], 0
            return _without_trailer(block[: mark.start()])
        if len(block) == length:  # too short: the rest follows
            rest = cursor.to_mark(MAX_RECORD_BYTES)
            return None if rest is None else _without_trailer(block + rest)
        return _without_trailer(block)

    def _ends_well(self) -> bool:
        """After a block: line ends, then a record or the end of the member."""
        cursor = self.cursor
        while True:
            after = NEWLINES.match(cursor.data, cursor.at).end()  # type: ignore[union-attr]
            if len(cursor.data) - after >= 5:
                break
            piece = cursor.stream.piece()
            if not piece:
                break
            cursor.data, cursor.at = cursor.data[cursor.at :] + piece, 0
        rest = cursor.data[after : after + 5]
        if not rest or rest == b"WARC/":
            cursor.at = after
            return True
        return b"WARC/".startswith(rest)  # the next record runs on in another member

    def _add(
        self,
        kind: str,
        fields: dict[str, str],
        block: bytes | memoryview,
        mime: str | None,
        offset: int,
        length: int,
        error: str | None,
    ) -> None:
        url = fields.get("warc-target-uri", "").strip("<>") or None
        date = fields.get("warc-date")
        record_id = fields.get("warc-record-id")
        languages = fields.get("warc-identified-content-language")
        # Not the id: that is made of URL, date and payload, so that a re-wrapped crawl keeps it.
        kept = {"warc_record_id": record_id, "languages": languages}
        metadata = json.dumps({key: value for key, value in kept.items() if value})
        content_type, charset, text, payload, sha1 = mime, None, None, None, None
        if kind == "conversion":
            text = str(block, "utf-8", "replace")
            sha1 = sha1_hex(block)
        elif block and kind == "response" and _is_http(mime, block):
            http = parse_response(block, MAX_RECORD_BYTES)
            payload, content_type, charset = http.body, http.content_type, http.charset
            error = error or http.error
            sha1 = _digest(fields) or sha1_hex(http.raw)
        else:
            payload, sha1 = block, sha1_hex(block)
        if not block or (payload is not None and not payload):
            error = error or "empty"
        self.rows.add(
            self.file,
            offset,
            length,
            url=url,
            date=date,
            payload=payload,
            payload_sha1=sha1 if error not in ("truncated", "corrupt", "too_large") else None,
            content_type=content_type,
            charset=charset,
            text=text,
            metadata=metadata,
            error=error,
        )


def _fields(head: bytes) -> dict[str, str]:
    """Header fields, lower-case names; the first of a name counts; folded lines are joined."""
    out: dict[str, str] = {}
    name = ""
    for line in head.decode("utf-8", "replace").split("\n")[1:]:
        if line[:1] in (" ", "\t") and name:
            out[name] += " " + line.strip()
            continue
        key, colon, value = line.partition(":")
        if colon:
            name = key.strip().lower()
            out.setdefault(name, value.strip())
    return out


def _digest(fields: dict[str, str]) -> str | None:
    """WARC-Payload-Digest as hex when it is a sha1 (base32 or hex) and can be the body's.

    ClueWeb09 writes the same value for block and payload: then it is not the body's.
    """
    value = fields.get("warc-payload-digest", "")
    if not value.lower().startswith("sha1:") or value == fields.get("warc-block-digest"):
        return None
    digest = value[5:].strip()
    try:
        raw = base64.b32decode(digest.upper()) if len(digest) == 32 else bytes.fromhex(digest)
    except (ValueError, binascii.Error):
        return None
    return raw.hex() if len(raw) == 20 else None


def _without_trailer(block: bytes) -> bytes:
    """Without the two line ends that close a record."""
    for trailer in (b"\r\n\r\n", b"\n\n"):
        if block.endswith(trailer):
            return block[: -len(trailer)]
    return block


def _is_http(mime: str | None, block: bytes | memoryview) -> bool:
    return mime == "application/http" or block[:5] == b"HTTP/"
