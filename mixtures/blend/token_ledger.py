"""The token ledger: what became of every token that a mixture drew, by source and segment.

In: what the packer counted, what the feed handed out, what the rows hold. Out: ledger rows that add
up, or an error. Shown by: `gristmill sql 'select source, sum(kept), sum(split), sum(dropped) from
"mix/pretrain.token_ledger" group by 1'`. Limit: a source's tokens, not each document's.

    drawn + carried before = kept + split + dropped + carried    tokens, in every segment
    rows × row length = kept + split + padding                   in every segment
    drawn = the documents' counts in the token dataset           over all epochs of a source

Counts of a segment are of what its rows hold: a token drawn in one segment may lie in the rows of
the next (`carried`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from gristmill.errors import StoreError

SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("segment", pa.int32()),
        ("stage", pa.int32()),
        *(
            (name, pa.int64())
            for name in (
                "rows", "seq", "drawn", "kept", "split", "dropped", "carried", "padding", "masked",
                "documents",
            )
        ),
    ]
)  # fmt: skip


@dataclass(slots=True)
class Entry:
    """One source in one segment, in tokens."""

    rows: int
    seq: int
    drawn: int  # of the documents taken up in this segment
    kept: int  # in rows, of documents that stand whole in one
    split: int  # in rows, of documents that are cut
    dropped: int  # in no row
    carried: int  # left over for the segments to come, or at the end
    padding: int
    masked: int  # in rows, but without loss: by the dataset's mask, or the first of a piece
    documents: int  # taken up


def check_entries(name: str, entries: Sequence[Entry], handed: int, counted: int) -> None:
    """Raise unless a source's entries add up.

    handed: tokens that the feed gave; counted: those documents' counts in the token dataset.
    """
    before = 0
    for segment, entry in enumerate(entries):
        filled = entry.kept + entry.split
        _equal(name, segment, "drawn and carried over", entry.drawn + before,
               filled + entry.dropped + entry.carried)  # fmt: skip
        _equal(name, segment, "room in its rows", entry.rows * entry.seq, filled + entry.padding)
        before = entry.carried
    drawn = sum(entry.drawn for entry in entries)
    _equal(name, None, "tokens drawn", drawn, handed)
    _equal(name, None, "tokens by the dataset's counts", counted, handed)


def _equal(name: str, segment: int | None, what: str, left: int, right: int) -> None:
    if left != right:
        where = "" if segment is None else f" in segment {segment}"
        raise StoreError(
            f"token ledger of source {name!r}{where}: {what} are {left:,}, accounted for are "
            f"{right:,}; this is a defect of `use: mixture`, nothing was committed"
        )


def ledger_table(
    sources: Sequence[str], entries: Sequence[Sequence[Mapping[str, Any]]], stages: Sequence[int]
) -> pa.Table:
    """Rows of the output `.token_ledger`, by source and then segment; unused segments left out."""
    rows = [
        {"source": source, "segment": segment, "stage": stages[segment], **entry}
        for source, of_source in zip(sources, entries, strict=True)
        for segment, entry in enumerate(of_source)
        if entry["rows"] or entry["drawn"]
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def as_dicts(entries: Sequence[Entry]) -> list[dict[str, int]]:
    """For a task's record."""
    return [asdict(entry) for entry in entries]
