"""Two HTML extractors over decoded pages in memory.

In: a WARC file. Out: characters of text. Shown by: `python -m bench.extraction`.
Limit: trafilatura as datatrove's FineWeb example calls it, but in this process, not in its sandbox.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.worker import Job


def _pages(warc: str) -> list[str]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    with Path(warc).open("rb") as stream:
        payloads = [
            record.reader.read()
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response)
        ]
    return [payload.decode("utf-8", "replace") for payload in payloads]


def open_resiliparse(warc: str) -> Job:
    """resiliparse's main-content mode."""
    from resiliparse.extract.html2text import extract_plain_text

    pages = _pages(warc)

    def run() -> dict[str, Any]:
        return {"characters": sum(len(extract_plain_text(p, main_content=True)) for p in pages)}

    return Job(run=run, packages=["resiliparse"])


def open_trafilatura(warc: str) -> Job:
    """trafilatura with precision favoured, as in the FineWeb example."""
    from trafilatura import extract

    pages = _pages(warc)

    def run() -> dict[str, Any]:
        texts = (
            extract(page, favor_precision=True, include_comments=False, deduplicate=True)
            for page in pages
        )
        return {"characters": sum(len(text or "") for text in texts)}

    return Job(run=run, packages=["trafilatura"])
