"""HTTP responses as crawlers store them: header, chunks and content encoding undone, within bounds.

In: the bytes of a response block. Out: `HttpBody` (status, mime type, charset, body, error).
Shown by: `python -m curation.readers FILE.warc.gz`. Limit: multipart and byte-range answers are
taken as they are; an encoding other than gzip, deflate, br and zstd is an error.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

import pyarrow as pa

_HEADER_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*:")
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([\w.:+-]+)", re.IGNORECASE)
_MAX_HEADER = 1 << 18
_STEP = 1 << 20
_PIECE = 1 << 16
_IDENTITY = {b"", b"identity", b"none", b"utf-8", b"7bit", b"8bit", b"binary"}


@dataclass(slots=True)
class HttpBody:
    """A response taken apart; `raw` is the body as it lies in the file, `body` the decoded one."""

    raw: bytes | memoryview
    body: bytes | memoryview = b""
    status: int | None = None
    content_type: str | None = None
    charset: str | None = None
    error: str | None = None


def parse_response(block: bytes | memoryview, max_bytes: int) -> HttpBody:
    """Take a response block apart; never raises.

    Errors: bad_http (no header can be told from the body), http_status (not 2xx), bad_encoding,
    too_large (the decoded body passes max_bytes).
    """
    head, raw = split_header(block)
    if head is None:
        return HttpBody(raw, error="bad_http")
    lines = head.split(b"\n")
    status = _status(lines[0])
    fields: dict[bytes, bytes] = {}
    name = b""
    for line in lines[1:] if lines[0].lstrip().startswith(b"HTTP/") else lines:
        if line[:1] in b" \t" and line and name:  # folded line
            fields[name] += b" " + line.strip()
            continue
        key, colon, value = line.partition(b":")
        if colon:
            name = key.strip().lower()
            fields.setdefault(name, value.strip())
    mime, charset = content_type_of(fields.get(b"content-type", b""))
    out = HttpBody(raw, raw, status, mime, charset)
    if status is not None and not 200 <= status < 300:
        out.error = "http_status"
        return out
    if b"chunked" in fields.get(b"transfer-encoding", b"").lower():
        out.body = unchunk(bytes(raw))
    for coding in reversed(fields.get(b"content-encoding", b"").lower().split(b",")):
        if coding.strip() not in _IDENTITY and out.error is None:
            out.body, out.error = decode_content(bytes(out.body), coding.strip(), max_bytes)
    if out.error is None and len(out.body) > max_bytes:
        out.error = "too_large"
    return out


def split_header(block: bytes | memoryview) -> tuple[bytes | None, bytes | memoryview]:
    """Header without its empty line, and body; header None when no line between can be found.

    A block that opens with markup has lost its header: all of it is body, under an empty header.
    """
    start = bytes(block[:64]).lstrip()
    if start.startswith(b"<"):
        return b"", block
    end = _HEADER_END.search(block, 0, _MAX_HEADER)
    if end is None:
        if start.startswith(b"HTTP/") and len(block) < _MAX_HEADER:
            return bytes(block).rstrip(b"\r\n"), b""  # header only
        return None, block
    head = bytes(block[: end.start()])
    if not start.startswith(b"HTTP/") and not _FIELD.match(head):
        return None, block
    return head, block[end.end() :]


def content_type_of(value: bytes) -> tuple[str | None, str | None]:
    """(mime type, charset) of a Content-Type value, both lower case, None where absent."""
    mime = value.split(b";")[0].split(b",")[0].strip().lower()
    found = _CHARSET.search(value)
    return (
        mime.decode("ascii", "replace") or None,
        found[1].decode("ascii", "replace").lower() if found else None,
    )


def unchunk(raw: bytes) -> bytes:
    """Chunked transfer coding undone; what is not chunked at all comes back as it is.

    Crawlers often keep the header after undoing the chunks; a broken chunk ends the body there.
    """
    parts: list[bytes] = []
    position = 0
    while True:
        end = raw.find(b"\n", position, position + 1024)
        if end < 0:
            break
        try:
            size = int(raw[position:end].split(b";")[0].strip(), 16)
        except ValueError:
            break
        if size <= 0:
            return b"".join(parts)
        parts.append(raw[end + 1 : end + 1 + size])
        position = end + 1 + size
        if position >= len(raw):
            break
        position += 2 if raw[position : position + 2] == b"\r\n" else raw[position] == 10
    return b"".join(parts) if parts else raw


def decode_content(body: bytes, coding: bytes, max_bytes: int) -> tuple[bytes, str | None]:
    """(decoded body, error). A coding that is declared but plainly not applied is passed over."""
    if coding in (b"gzip", b"x-gzip"):
        if not body.startswith(b"\x1f\x8b"):
            return body, None
        out, error = _inflate(body, 31, max_bytes)
    elif coding == b"deflate":
        out, error = _inflate(body, 15, max_bytes)
        if error == "bad_encoding" and not out:
            out, error = _inflate(body, -15, max_bytes)  # raw deflate, as some servers send
    elif coding in (b"br", b"zstd"):
        out, error = _arrow_decode(body, "brotli" if coding == b"br" else "zstd", max_bytes)
    else:
        out, error = b"", "bad_encoding"
    if error == "bad_encoding" and not out and body[:256].lstrip().startswith(b"<"):
        return body, None
    return out, None if error == "bad_encoding" and out else error


def _inflate(body: bytes, wbits: int, max_bytes: int) -> tuple[bytes, str | None]:
    """Inflate at most max_bytes; a damaged tail keeps what came before it, as browsers do."""
    parts, size = [], 0
    inflate = zlib.decompressobj(wbits)
    view = memoryview(body)
    try:
        for at in range(0, len(body), _PIECE):  # a piece inflates to at most 64 MiB
            out = inflate.decompress(view[at : at + _PIECE])
            parts.append(out)
            size += len(out)
            if size > max_bytes:
                return b"", "too_large"
            if inflate.eof:
                break
    except zlib.error:
        return b"".join(parts), "bad_encoding"
    return b"".join(parts), None


def _arrow_decode(body: bytes, codec: str, max_bytes: int) -> tuple[bytes, str | None]:
    parts, size = [], 0
    try:
        with pa.CompressedInputStream(pa.BufferReader(body), codec) as stream:
            while out := stream.read(_STEP):
                parts.append(out)
                size += len(out)
                if size > max_bytes:
                    return b"", "too_large"
    except (OSError, pa.ArrowException):
        return b"".join(parts), "bad_encoding"
    return b"".join(parts), None


def _status(line: bytes) -> int | None:
    words = line.split()
    if words and words[0].startswith(b"HTTP/") and len(words) > 1 and words[1][:3].isdigit():
        return int(words[1][:3])
    return None
