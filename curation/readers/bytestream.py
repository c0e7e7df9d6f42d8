"""Forward byte streams that know where records may start: plain files, and gzip member by member.

In: an opened file and a byte range. Out: pieces of (inflated) bytes, the offset each record
starts at, and what was damaged. Shown by: `python -m curation.readers FILE.warc.gz`. Limit: one
file, forward only.
"""

from __future__ import annotations

import lzma
import re
import zlib
from typing import IO, Any

import pyarrow as pa

GZIP_MAGIC = b"\x1f\x8b\x08"
PIECE = 1 << 16  # compressed bytes a step: inflates to at most 64 MiB
_READ = 1 << 20
_MAX_SKIP = 1 << 30  # inflated bytes passed over in one record before its member is given up
_SALVAGE = 16 << 20  # a damaged member is inflated again, to see its record's header, up to this
_PROBE = 1 << 12  # compressed bytes that show whether a member holds a record
HEAD = b"WARC/"
# A record's first two lines, wherever a record before it broke off.
NEXT_RECORD = re.compile(rb"WARC/\d\.\d{1,2}\r?\n(?:WARC|Content)-[A-Za-z-]{1,32}[ \t]*:")
# A record's first line after the empty line that ends the one before: where a range may start.
_RECORD_MARK = re.compile(rb"\n\r?\n(WARC/\d\.\d{1,2}\r?\n)")


def starts_record(data: bytes) -> bool:
    """True when inflated bytes begin a WARC record, after stray line ends."""
    return data.startswith(HEAD) or data[:8].lstrip(b"\r\n").startswith(HEAD)


class PlainStream:
    """Bytes of an uncompressed file from `start` on, or of a decompressing one (size None)."""

    def __init__(self, file: IO[bytes], start: int = 0, size: int | None = None) -> None:
        self._file, self._at, self._size = file, start, size
        if start:
            file.seek(start)
        self.max_skip = _MAX_SKIP if size is None else size
        self.pending: bytes | None = None
        self.error: str | None = None

    def piece(self) -> bytes:
        """The next bytes; b"" at the end."""
        try:
            data = self._file.read(_READ)
        except (OSError, EOFError, lzma.LZMAError, pa.ArrowException) as error:
            if getattr(error, "errno", None):  # a disk's error: the task fails and is tried again
                raise
            # a decompressing file that is cut or damaged
            self.error = "truncated" if "runcated" in str(error) else "corrupt"
            return b""
        self._at += len(data)
        return data

    def next_member(self) -> bool:
        return False

    def take_pending(self) -> bytes:
        return b""

    def offset(self, unread: int) -> int:
        """Where the `unread` last bytes given begin."""
        return self._at - unread

    def used(self, unread: int) -> int:
        """Where the bytes already parsed end."""
        return self._at - unread

    def hop(self, unread: int, length: int) -> bool:
        """Go on `length` bytes after the unread ones' begin, if a record or the end is there."""
        target = self._at - unread + length
        if self._size is None or target > self._size:
            return False
        after = read_at(self._file, target, 16)
        if target < self._size and not (after[:1] in b"\r\n" and starts_record(after)):
            self._file.seek(self._at)
            return False
        self._file.seek(target)
        self._at = target
        return True

    def resync(self) -> int | None:
        """Damage that the parser cannot pass over ends a plain file."""
        return None


class GzipStream:
    """Inflated bytes of a gzip file, member by member.

    `piece()` gives the open member's bytes; at its end `next_member()` opens the next and leaves
    its first piece in `pending`, to be looked at before `take_pending()`: a record may run on
    over several members (block gzip), but never into one that begins a record itself.
    """

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._size = file, size
        self._buffer, self._base = b"", start  # compressed bytes and their file position
        self._at = start  # file position after the compressed bytes used so far
        self._inflate: Any = None
        self._given = 0  # inflated bytes of this member
        self.max_skip = _MAX_SKIP
        self.member = start  # offset of the member opened last
        self.pending: bytes | None = None
        self.error: str | None = None

    def piece(self) -> bytes:
        """The next bytes of the open member; b"" at its end or after an error."""
        out = b""
        while not out and self._inflate is not None and self.pending is None:
            out = self._step()
        return out

    def next_member(self) -> bool:
        """Open the member after one that ended; False at the end of the file or at damage."""
        while self.pending is None and self._inflate is None and self.error is None:
            block = self._compressed()
            if block and not block[0]:  # zero padding between members
                self._at += len(block) - len(block.lstrip(b"\0"))
                continue
            if not block:
                return False
            self.member, self._given = self._at, 0
            if not block.startswith(GZIP_MAGIC):
                self.error = "corrupt"
                return False
            self._inflate = zlib.decompressobj(31)
            self.pending = self.piece() or None  # an empty member is passed over
        return self.pending is not None

    def take_pending(self) -> bytes:
        data, self.pending = self.pending or b"", None
        return data

    def offset(self, unread: int) -> int:
        """Offset of the member that the current bytes come from."""
        return self.member

    def used(self, unread: int) -> int:
        """File position after the compressed bytes that were needed so far."""
        return self._at if self.pending is None else self.member

    def hop(self, unread: int, length: int) -> bool:
        """Inflated bytes cannot be sought."""
        return False

    def resync(self) -> int | None:
        """After damage: go to the next member that begins a record, give its offset."""
        found = find_member(self._file, self.member + 1, self._size)
        self.error, self._inflate, self.pending = None, None, None
        self._at = self._size if found is None else found
        return found

    def _step(self) -> bytes:
        """Inflate one piece of the open member; close it at its end."""
        block = self._compressed()
        if not block:
            self.error, self._inflate = "truncated", None
            return b""
        try:
            out: bytes = self._inflate.decompress(block)
        except zlib.error:
            out = self._salvage()
            self.error, self._inflate = "corrupt", None
            return out
        self._at += len(block)
        if self._inflate.eof:
            self._at -= len(self._inflate.unused_data)
            self._inflate = None
        self._given += len(out)
        return out

    def _salvage(self) -> bytes:
        """What the piece that raised still inflates to: its record's URL is worth having."""
        if self._at - self.member > _SALVAGE:
            return b""
        inflate, given, parts = zlib.decompressobj(31), 0, []
        data = read_at(self._file, self.member, self._at + PIECE - self.member)
        try:
            for at in range(0, len(data), 64):
                out = inflate.decompress(data[at : at + 64])
                parts.append(out[max(0, self._given - given) :])
                given += len(out)
        except zlib.error:
            pass
        return b"".join(parts)

    def _compressed(self) -> bytes:
        """PIECE bytes at the current position; fewer only at the end of the file."""
        at = self._at - self._base
        if at < 0 or at + PIECE > len(self._buffer):
            self._buffer, self._base, at = read_at(self._file, self._at, _READ), self._at, 0
        return self._buffer[at : at + PIECE]


def read_at(file: IO[bytes], position: int, length: int) -> bytes:
    """Bytes at a position; b"" past the end."""
    file.seek(position)
    return file.read(length)


def find_member(file: IO[bytes], start: int, size: int) -> int | None:
    """Offset of the first gzip member at or after `start` that inflates to a WARC record."""
    position = start
    while position < size:
        block = read_at(file, position, _READ + _PROBE)
        at = block.find(GZIP_MAGIC)
        while 0 <= at < _READ:
            if _probe(block[at : at + _PROBE]):
                return position + at
            at = block.find(GZIP_MAGIC, at + 1)
        position += _READ
    return None


def _probe(block: bytes) -> bool:
    try:
        return starts_record(zlib.decompressobj(31).decompress(block, 64))
    except zlib.error:
        return False


def find_record(file: IO[bytes], start: int, size: int) -> int | None:
    """Offset of the first record of an uncompressed WARC that starts at or after `start`."""
    position = max(0, start - 4)
    while position < size:
        block = read_at(file, position, _READ + 64)
        for marker in _RECORD_MARK.finditer(block):
            if position + marker.start(1) >= start:
                return position + marker.start(1)
        position += _READ
    return None
