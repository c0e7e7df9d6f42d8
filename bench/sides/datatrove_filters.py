"""datatrove's four FineWeb filters over documents in memory, as its FineWeb example sets them.

In: a JSONL corpus. Out: documents kept. Shown by: `python -m bench.signals`.
Limit: `filter()` is called directly, without its executor, reader or statistics files; that spares
datatrove its own overhead.
"""

from __future__ import annotations

from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)

from bench.sides.documents import texts
from bench.worker import Job


def open_job(path: str, mode: str) -> Job:
    """`each`: every filter judges every document; `chain`: a dropped document goes no further."""
    loaded = texts(path)
    filters = [
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
    ]
    documents: list[Document] = []

    def before() -> None:  # the C4 filter edits texts
        documents.clear()
        documents.extend(Document(text=text, id=str(i)) for i, text in enumerate(loaded))

    def keeps(block: Any, document: Document) -> bool:
        return block.filter(document) is True

    def each() -> dict[str, Any]:
        kept = [0] * len(filters)
        for number, text in enumerate(loaded):
            for position, block in enumerate(filters):
                # every filter sees the original text, as ours do; C4 edits its own copy
                kept[position] += keeps(block, Document(text=text, id=str(number)))
        return {"kept": dict(zip([type(block).__name__ for block in filters], kept, strict=True))}

    def chain() -> dict[str, Any]:
        kept = sum(all(keeps(block, document) for block in filters) for document in documents)
        return {"kept": kept}

    run = {"each": each, "chain": chain}[mode]
    return Job(run=run, before=before, packages=["datatrove", "spacy"])
