"""The unread bytes of a WARC stream: records' boundaries, headers, blocks, also where lengths lie.

In: a byte stream. Out: the pieces that a record is made of. Shown by: `python -m curation.readers
FILE.warc.gz`. Limit: a header ends within 64 KiB or the record is passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from curation.readers.bytestream import NEXT_RECORD, GzipStream, PlainStream, starts_record

NEWLINES = re.compile(rb"[\r\n]*")
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_MAX_HEADER = 1 << 16


@dataclass(slots=True)
class Cursor:
    """The unread bytes of a stream, and the records' boundaries in it."""

    stream: GzipStream | PlainStream
    stop: int  # a record that starts here or later belongs to the next range
    data: bytes = b""
    at: int = 0

    def fill(self) -> bool:
        """More bytes of the same record; False when the next ones begin another."""
        piece = self.stream.piece()
        if not piece:
            if not self.stream.next_member() or starts_record(self.stream.pending or b""):
                return False
            piece = self.stream.take_pending()
        self.data = self.data[self.at :] + piece
        self.at = 0
        return True

    def to_record(self) -> int | None:
        """Skip line ends up to the next record; its offset, or None at the end of the range."""
        while True:
            self.at = NEWLINES.match(self.data, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.data):
                offset = self.stream.offset(len(self.data) - self.at)
                plain = isinstance(self.stream, PlainStream)
                return None if plain and offset >= self.stop else offset
            piece = self.stream.piece()
            if not piece:
                if not self.stream.next_member():
                    return None
                pending = self.stream.pending or b""
                if self.stream.offset(0) >= self.stop and starts_record(pending):
                    return None
                piece = self.stream.take_pending()
            self.data, self.at = piece, 0

    def used(self) -> int:
        """File position where what was parsed ends."""
        return self.stream.used(len(self.data) - self.at)

    def take(self, length: int) -> bytes | memoryview:
        """The next `length` bytes; fewer when the record's stream ends before.

        Without a copy where they are most of what was inflated, so that a view holds on to little.
        """
        end = self.at + length
        if end <= len(self.data):
            whole = self.data if 2 * length < len(self.data) else memoryview(self.data)
            out, self.at = whole[self.at : end], end
            return out
        parts, have = [self.data[self.at :]], len(self.data) - self.at
        self.data, self.at = b"", 0
        while have < length and self.fill():
            parts.append(self.data)
            have += len(self.data)
            self.data = b""
        out = b"".join(parts)
        self.data = out[length:]
        return out[:length]

    def hop(self, length: int) -> bool:
        """Pass over a block by seeking, where its length leads to another record."""
        if not self.stream.hop(len(self.data) - self.at, length):
            return False
        self.data, self.at = b"", 0
        return True

    def to_mark(self, limit: int) -> bytes | None:
        """Bytes up to the next record's first line or the end; None, and skipped, past `limit`."""
        parts, kept, skipped = [], 0, 0
        while True:
            found = NEXT_RECORD.search(self.data, self.at)
            end = found.start() if found else max(self.at, len(self.data) - 64)
            parts.append(self.data[self.at : end])
            kept += end - self.at
            self.at = end
            if kept > limit:
                skipped, kept, parts = skipped + kept, 0, []
            if found is not None:
                break
            if skipped > self.stream.max_skip:
                self.stream.error = "too_large"
                break
            if not self.fill():
                parts.append(self.data[self.at :])
                self.at = len(self.data)
                break
        return None if skipped else b"".join(parts)

    def header(self) -> bytes | None:
        """A record's header, without the empty line; None when there is no end to it."""
        while True:
            found = _HEADER_END.search(self.data, self.at, self.at + _MAX_HEADER)
            if found:
                head = self.data[self.at : found.start()]
                self.at = found.end()
                return head
            if len(self.data) - self.at > _MAX_HEADER or not self.fill():
                return None
