"""WARC files with one fault each, between two sound pages, and what must become of their records.

In: nothing. Out: `faults()`: name, bytes of a .warc.gz, the reason of each record in order (None:
kept; "?": whatever the rules say). Shown by: tests/pipelines/test_faults.py. Limit: sound pages are
English bulletins that pass the recipe's rules.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

import brotli
import pyarrow as pa

from pipelines.demo.compose import bulletin
from tests.curation.readers.warc_files import http, member, record

HTML = "Content-Type: text/html; charset=utf-8\r\n"


@dataclass(frozen=True, slots=True)
class Fault:
    """One file: what is wrong in its middle, and what becomes of its records."""

    name: str
    content: bytes
    reasons: tuple[str | None, ...]


def prose(number: int) -> str:
    """English paragraphs that the recipe keeps, others for each number."""
    drawn = bulletin(random.Random(f"sound:{number}"), "en")
    return "\n".join(f"<p>{escape(text)}</p>" for _, text in drawn.blocks)


def html(number: int, inside: str = "") -> bytes:
    """A sound page."""
    head = f"<html lang=en><head><title>{number}</title></head>"
    return f"{head}<body>{prose(number)}{inside}</body></html>".encode()


def sound(number: int) -> bytes:
    """A gzip member with a sound record."""
    return member(record(http(html(number), HTML), number))


def faults() -> Iterator[Fault]:
    """Every fault, each in a file of its own."""
    for index, (name, middle, *reasons) in enumerate(
        [*_files(), *_records(), *_responses(), *_pages()]
    ):
        first, last = sound(1000 + 2 * index), sound(1001 + 2 * index)
        yield Fault(name, first + middle + last, (None, *reasons, None))


Entry = tuple[str | bytes | None, ...]


def _files() -> Iterator[Entry]:
    """The compressed file itself is damaged."""
    whole = sound(0)
    flipped = whole[:200] + bytes(b ^ 0x55 for b in whole[200:260]) + whole[260:]
    yield "member cut in its middle", whole[: len(whole) // 2], "read.corrupt"
    yield "member cut in its header", whole[:7], "read.corrupt"
    yield "flipped bytes", flipped, "read.corrupt"
    yield "wrong checksum", whole[:-8] + b"\1" * 8, "read.corrupt"
    yield "text between members", b"<!-- a stray page -->" * 9, "read.corrupt"
    yield "zeros between members", bytes(5000)
    yield "empty members", member(b"") * 3
    yield "member of noise", member(random.Random(1).randbytes(3000)), "read.not_warc"
    yield "member that inflates to gigabytes", deflated(3), "read.too_large"


def _records() -> Iterator[Entry]:
    """The WARC records lie."""
    block = http(html(0), HTML)
    for lie in (0, 7, len(block) - 1, len(block) + 1, len(block) + 99, 10**18, -5, "many", ""):
        yield f"length {lie}", member(record(block, 3, length=lie)), None
    odd = record(block, 3)
    yield "no type", member(odd.replace(b"WARC-Type: response\r\n", b"")), "read.bad_warc_header"
    yield "no header end", member(odd[:150]), "read.bad_warc_header"
    yield (
        "header of a megabyte",
        member(b"WARC/1.0\r\n" + b"X: y\r\n" * 200_000),
        "read.bad_warc_header",
    )
    yield "future version", member(odd.replace(b"WARC/1.0", b"WARC/9.7")), None
    yield "other types", member(record(b"x", 3, "metadata") + record(b"x", 4, "continuation"))
    yield "revisit", member(record(http(b"", HTML), 3, "revisit"))
    address = b"http://site.example/3"
    yield "no url", member(odd.replace(b"WARC-Target-URI: " + address + b"\r\n", b"")), None
    yield "url of a megabyte", member(odd.replace(address, address + b"x" * 60_000)), None
    yield "url of bytes", member(odd.replace(address, address + b"\xff\x00\xfe\xc3")), None
    date = b"2024-01-02T03:04:05Z"
    for other in (b"yesterday", b"", b"9999-99-99T99:99:99Z", b"-0001-01-01", b"\xff\xfe"):
        yield f"date {other!r}", member(odd.replace(date, other)), None
    yield "the same record three times", member(odd) * 3, None, None, None
    yield (
        "the same url, another text",
        member(odd) + member(record(http(html(5), HTML), 3)),
        None,
        None,
    )


def _responses() -> Iterator[Entry]:
    """The HTTP inside is broken."""
    good, text = html(0), "Content-Type: text/html\r\n"
    blocks: list[tuple[str, bytes, str | None]] = [
        ("cut header", b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Ty", "read.empty"),
        ("noise for HTTP", random.Random(2).randbytes(2000), "read.bad_http"),
        ("no header", good, None),
        ("junk header lines", http(good, "no colon\r\n: x\r\nX-\xff: \x80\r\n" + text), None),
        ("header of bytes", b"HTTP/1.1 200 OK\r\n\xff\xfe\x00: \x00\r\n\r\n" + good, None),
        ("no status", b"HTTP/1.1\r\n" + text.encode() + b"\r\n" + good, None),
        ("status 404", http(good, text, "404 Not Found"), "read.http_status"),
        ("status of letters", http(good, text, "OK fine"), None),
        ("empty block", b"", "read.empty"),
        ("empty body", http(b"", text), "read.empty"),
        (
            "a picture",
            http(b"\x89PNG\r\n\x1a\n" + bytes(500), "Content-Type: image/png\r\n"),
            "extract.not_html",
        ),
        (
            "a picture that says HTML",
            http(b"\x89PNG\r\n\x1a\n" + bytes(500), text),
            "extract.not_html",
        ),
    ]
    chunked = "Transfer-Encoding: chunked\r\n" + text
    blocks += [
        ("chunks that are none", http(good, chunked), None),
        ("chunk of 2^60", http(b"fffffffffffffff\r\n" + good, chunked), None),
        ("chunk that ends early", http(b"%x\r\n%s" % (len(good) + 9, good), chunked), None),
        ("negative chunk", http(b"-5\r\n" + good, chunked), "read.empty"),
    ]
    for coding, bomb in (
        ("gzip", deflated(4)),
        ("br", brotli.compress(bytes(130 << 20), quality=0)),
        ("zstd", pa.compress(bytes(130 << 20), "zstd", asbytes=True)),
        ("gzip, gzip", member(deflated(4))),
        ("deflate", b"\x78\x9c" + deflated(1)[10:]),
    ):
        block = http(bomb, f"Content-Encoding: {coding}\r\n{text}")
        blocks.append((f"{coding} bomb", block, "read.too_large"))
    packed = member(good)
    for name, body, reason in (
        ("gzip that is none", good, None),
        ("gzip cut", packed[: len(packed) * 3 // 4], None),
        ("gzip of noise", packed[:20] + random.Random(3).randbytes(500), "read.bad_encoding"),
    ):
        blocks.append((name, http(body, "Content-Encoding: gzip\r\n" + text), reason))
    blocks.append(
        (
            "unknown coding",
            http(b"\x93\x01\xff" * 99, "Content-Encoding: sdch\r\n" + text),
            "read.bad_encoding",
        )
    )
    for name, block, reason in blocks:
        yield name, member(record(block, 3)), reason


def _pages() -> Iterator[Entry]:
    """The page itself is odd."""
    good = html(0)
    noise = random.Random(4).randbytes(40_000)
    many = b"<table><tr><td>" * 60_000
    pages: list[tuple[str, bytes, str | None]] = [
        ("invalid UTF-8", good.replace(b". ", b". \xff\xc3\x28 \xed\xa0\x80 "), None),
        ("NUL bytes", good.replace(b". ", b".\0 "), None),
        ("only NUL bytes", bytes(3000), "extract.empty"),
        ("only spaces", b" \n\t" * 3000, "extract.empty"),
        ("half a page", good[: len(good) * 3 // 4], None),
        ("half a character", good.replace(b"</body></html>", "ü".encode()[:1]), None),
        ("UTF-16 that says UTF-8", good.decode().encode("utf-16"), None),
        ("UTF-32", good.decode().encode("utf-32"), "?"),
        ("control characters", good.replace(b". ", b".\x01\x02\x0b\x1b[31m "), None),
        ("noise", noise, "extract.undecodable"),
        ("noise in markup", b"<html><body>" + noise, "extract.undecodable"),
        ("300,000 nested elements", b"<div>" * 300_000 + prose(0).encode(), "extract.too_complex"),
        ("300,000 open elements", b"<b><i>x" * 300_000 + prose(0).encode(), "extract.too_complex"),
        ("60,000 nested tables", many, "extract.too_complex"),
        (
            "an element of 300,000 attributes",
            b"<p " + b" ".join(b"a%d=1" % i for i in range(300_000)) + b">" + good,
            "extract.too_complex",
        ),
        ("an attribute of 8 MB", b"<p title='" + b"x" * (8 << 20) + b"'>" + good, None),
        ("8 MB of <", b"<" * (8 << 20), "?"),
        ("8 MB of entities", b"&amp;" * (8 << 18) + good, "?"),
        ("a comment without end", good + b"<!-- " + b"x" * 9999, None),
        ("a script without end", b"<script>" + good, "extract.empty"),
        ("a page of 17 MB", good + b"<p>" + b"word " * (17 << 18), "read.too_large"),
        ("a page of 15 MB in one line", b"<p>" + b"word and the " * (15 << 16), "?"),
        ("a page of 3 million lines", b"<pre>" + b"a\n" * 3_000_000, "?"),
        ("frameset", b"<html><frameset><frame src=x></frameset></html>", "extract.empty"),
        ("XML", b"<?xml version='1.0'?><rss><item>x</item></rss>", "?"),
        ("JSON", b'{"a": [1, 2]}', "?"),
    ]
    for name, body, reason in pages:
        yield name, member(record(http(body, HTML), 3)), reason


def deflated(gigabytes: int) -> bytes:
    """A gzip member of zeros that inflates to gigabytes (its checksum is never reached)."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    squeeze.compress(bytes(1 << 20))
    squeeze.flush(zlib.Z_FULL_FLUSH)
    piece = squeeze.compress(bytes(1 << 20)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    return head + piece * (1024 * gigabytes) + squeeze.flush() + bytes(8)
