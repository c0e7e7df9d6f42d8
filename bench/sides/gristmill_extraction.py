"""Only what no data pipeline can avoid: gzip, and charset and HTML work of our own extractor.

In: WARC files. Out: characters of text. Shown by: `python -m bench.fineweb`.
Limit: WARC parsing, digests, the size bounds of the extract op, Arrow and Parquet are not in it:
they count as the rest of the run.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.worker import Job


def _payloads(path: str) -> Iterator[bytes]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    with Path(path).open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            yield record.reader.read()


def _unpack_seconds(path: str) -> float:
    """Seconds of zlib alone, as our reader calls it: a member at a time, block by block."""
    begin = time.perf_counter()
    member = zlib.decompressobj(wbits=31)
    with Path(path).open("rb") as file:
        while block := file.read(1 << 16):
            while block:
                member.decompress(block)
                block = member.unused_data
                if member.eof:
                    member = zlib.decompressobj(wbits=31)
    return time.perf_counter() - begin


def open_job(paths: list[str]) -> Job:
    """Seconds in the two, and nothing else; the pages of one file are in memory at a time."""
    from curation.charset import decode
    from curation.page import is_html, resiliparse_page

    def run() -> dict[str, Any]:
        unpacking = extracting = 0.0
        characters = 0
        for path in paths:
            unpacking += _unpack_seconds(path)
            pages = list(_payloads(path))
            begin = time.perf_counter()
            for page in pages:
                if page and is_html("text/html", page[:1024]):
                    html = decode(memoryview(page), None)[0]
                    characters += len(resiliparse_page(html, None).text or "")
            extracting += time.perf_counter() - begin
        seconds = unpacking + extracting
        split = {"gzip": unpacking, "extraction": extracting}
        return {"seconds": seconds, "characters": characters, **split}

    return Job(run=run, packages=["resiliparse", "fastwarc"])
