"""dolma's Gopher and C4 taggers over documents in memory.

In: a JSONL corpus. Out: documents and spans. Shown by: `python -m bench.signals`.
Limit: `predict()` is called directly, without dolma's file handling and its attribute writer; that
spares dolma its own overhead. `c4_v2` is the faster of its two C4 taggers.
"""

from __future__ import annotations

from typing import Any

from dolma.core.data_types import Document
from dolma.taggers.c4 import FasterC4Tagger
from dolma.taggers.gopher import GopherTaggerV2

from bench.sides.documents import texts
from bench.worker import Job


def open_job(path: str) -> Job:
    """Both taggers on every document."""
    documents = [
        Document(source="bench", id=str(number), text=text)
        for number, text in enumerate(texts(path))
    ]
    taggers = [GopherTaggerV2(), FasterC4Tagger()]

    def run() -> dict[str, Any]:
        spans = sum(
            len(tagger.predict(document).spans) for document in documents for tagger in taggers
        )
        return {"documents": len(documents), "spans": spans}

    return Job(run=run, packages=["dolma"])
