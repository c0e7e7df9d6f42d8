"""A small WARC/1.0 writer: one gzip member a record, deterministic, able to write damage.

In: records as bytes. Out: a `.warc.gz` file and where each record lies in it.
Shown by: `python -m pipelines.demo.generate demo/web`. Limit: warcinfo and response records only.
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct
import uuid
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

EPOCH = datetime(2026, 2, 3, 4, 5, 6)


@dataclass(frozen=True, slots=True)
class Record:
    """One response record: address, the HTTP block as stored, and the body inside it."""

    url: str
    block: bytes
    body: bytes
    truncated: bool = False  # the gzip member is cut in its middle


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record lies: file name, offset and length of its gzip member in bytes."""

    file: str
    offset: int
    length: int


def http_block(body: bytes, content_type: str) -> bytes:
    """An HTTP response as a crawler stores it."""
    head = (
        "HTTP/1.1 200 OK\r\nServer: demo\r\nConnection: close\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


def write_warc(path: Path, records: list[Record], seconds: int) -> list[Place]:
    """Write a file in one rename, unless it is there with the same bytes; say where records lie.

    A truncated record must come last: nothing can be found behind a member that does not end.
    """
    members = [_member(_warcinfo(path.name))]
    for number, record in enumerate(records):
        whole = _member(_response(record, EPOCH + timedelta(seconds=seconds + number)))
        members.append(whole[: len(whole) * 3 // 5] if record.truncated else whole)
    places, offset = [], len(members[0])
    for member in members[1:]:
        places.append(Place(path.name, offset, len(member)))
        offset += len(member)
    publish(path, b"".join(members))
    return places


def publish(path: Path, content: bytes) -> None:
    """Write by rename; leave a file alone that already says the same."""
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    os.replace(part, path)


def _member(data: bytes) -> bytes:
    """A gzip member without time or system in its header (RFC 1952), so that bytes repeat."""
    squeezer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    squeezed = squeezer.compress(data) + squeezer.flush()
    tail = struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + squeezed + tail


def _digest(data: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(data).digest()).decode()


def _record(kind: str, name: str, moment: datetime, fields: dict[str, str], block: bytes) -> bytes:
    head = {
        "WARC-Type": kind,
        "WARC-Date": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "WARC-Record-ID": f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}>",
        **fields,
        "WARC-Block-Digest": _digest(block),
        "Content-Length": str(len(block)),
    }
    lines = "".join(f"{key}: {value}\r\n" for key, value in head.items())
    return b"WARC/1.0\r\n" + lines.encode() + b"\r\n" + block + b"\r\n\r\n"


def _warcinfo(name: str) -> bytes:
    block = b"software: gristmill demo\r\nformat: WARC File Format 1.0\r\nlicense: CC0-1.0\r\n"
    fields = {"WARC-Filename": name, "Content-Type": "application/warc-fields"}
    return _record("warcinfo", f"warcinfo:{name}", EPOCH, fields, block)


def _response(record: Record, moment: datetime) -> bytes:
    fields = {
        "WARC-Target-URI": record.url,
        "WARC-Payload-Digest": _digest(record.body),
        "Content-Type": "application/http; msgtype=response",
    }
    return _record("response", record.url, moment, fields, record.block)
