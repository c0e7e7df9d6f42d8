"""WARC inputs for whole runs: a random part of the shared crawl, and several times the crawl.

In: `../shared/data/warc`. Out: folders of `.bench/corpora/` with `*.warc.gz` files.
Shown by: `python -m bench.crawls`. Limit: copies of a page differ from it by exchanged words, so
they are no duplicates, but their markup, lengths and languages are those of the same pages.
"""

from __future__ import annotations

import gzip
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.corpora import CORPORA, Exchange, hash_order, warcs

_TEXT = re.compile(rb">[^<>]+<")
_OPAQUE = re.compile(rb"(?is)<(script|style)\b.*?</\1>")


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    with path.open("rb") as stream:
        records = ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=False)
        for number, record in enumerate(records):
            yield f"{path.name}/{number}", record


def part(pages: int) -> Path:
    """One WARC file with `pages` pages in hash order: the same share of every source set."""
    home = CORPORA / f"crawl-{pages}-pages"
    if home.exists():
        return next(home.glob("*.warc.gz"))
    names = sorted((name for path in warcs() for name, _ in _records(path)), key=hash_order)
    chosen = set(names[:pages])
    building = CORPORA / f"crawl-{pages}-pages.tmp"
    building.mkdir(parents=True, exist_ok=True)
    with (building / "part.warc.gz").open("wb") as out:
        for path in warcs():
            for name, record in _records(path):
                if name in chosen:
                    out.write(_member(dict(record.headers.items()), record.reader.read()))
    building.rename(home)
    return home / "part.warc.gz"


def _exchanged(payload: bytes, exchange: Exchange) -> bytes:
    """A page with other words in its text nodes; tags, scripts and styles as they were."""
    out, end = [], 0
    for opaque in _OPAQUE.finditer(payload):
        out.append(_TEXT.sub(lambda m: exchange.text(m.group()), payload[end : opaque.start()]))
        out.append(opaque.group())
        end = opaque.end()
    out.append(_TEXT.sub(lambda m: exchange.text(m.group()), payload[end:]))
    return b"".join(out)


def _member(headers: dict[str, str], block: bytes) -> bytes:
    """One record as one gzip member."""
    headers = {**headers, "Content-Length": str(len(block))}
    head = "WARC/1.0\r\n" + "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    return gzip.compress(head.encode() + b"\r\n" + block + b"\r\n\r\n", 6, mtime=0)


def _copy(copy: int, source: Path, target: Path) -> None:
    exchange = Exchange(copy)
    with target.open("wb") as out:
        for name, record in _records(source):
            head, _, body = record.reader.read().partition(b"\r\n\r\n")
            body = _exchanged(body, exchange)
            head = re.sub(rb"(?i)content-length: *\d+", b"Content-Length: %d" % len(body), head)
            headers = dict(record.headers.items())
            uri = headers["WARC-Target-URI"]
            headers["WARC-Target-URI"] = f"{uri}{'&' if '?' in uri else '?'}copy={copy}"
            digest = hash_order(f"{copy}/{name}").hex() * 2
            headers["WARC-Record-ID"] = f"<urn:uuid:{uuid.UUID(digest)}>"
            for key in [key for key in headers if key.endswith("-Digest")]:
                del headers[key]
            out.write(_member(headers, head + b"\r\n\r\n" + body))


def times(copies: int) -> list[Path]:
    """The crawl's files, then `copies - 1` further crawls of the same size."""
    paths = warcs()
    for copy in range(1, copies):
        home = CORPORA / f"crawl-copy-{copy}"
        building = CORPORA / f"crawl-copy-{copy}.tmp"
        if not home.exists():
            building.mkdir(parents=True, exist_ok=True)
            for source in warcs():
                _copy(copy, source, building / f"copy{copy}-{source.name}")
            building.rename(home)
        paths += sorted(home.glob("*.warc.gz"))
    return paths


def describe(paths: list[Path]) -> dict[str, Any]:
    """Pages, bytes of HTML and of gzip."""
    pages = size = 0
    for path in paths:
        for _, record in _records(path):
            pages += 1
            size += len(record.reader.read())
    packed = sum(path.stat().st_size for path in paths)
    return {"name": "crawl", "documents": pages, "bytes": size, "gzip_bytes": packed}


if __name__ == "__main__":
    print(describe([part(400)]))
    print(describe(times(2)))
