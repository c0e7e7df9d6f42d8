"""Where a mixture shows a document: for every source and epoch, in how many rows and tokens.

In: a mixture, ids of documents. Out: `Seen` entries by id. Shown by: `gristmill why mix/pretrain
ID`. Limit: reads the ids of every source and the document column of every piece, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gristmill.mapped import open_column
from gristmill.store import Dataset, Store
from mixtures.plan.rows import Plan, open_plan

PIECES = 1 << 22  # looked at together


class Seen(NamedTuple):
    """What a model sees of a document in one epoch of a source."""

    source: str
    epoch: int
    rows: int
    tokens: int


def seen(store: Store, ref: str, ids: Sequence[str]) -> dict[str, list[Seen]]:
    """Ids -> where the mixture shows them; an empty list for those that it does not show."""
    plan = open_plan(store, ref)
    found: dict[str, list[Seen]] = {id_: [] for id_ in ids}
    for number, source in enumerate(plan.spec.sources):
        documents = _documents(store[source.ref], ids)
        for id_, entry in _entries(plan, number, documents):
            found[id_].append(entry)
    return found


def _documents(tokens: Dataset, ids: Sequence[str]) -> dict[int, str]:
    """Row number in the token dataset -> id, of the documents asked for."""
    wanted, found, first = pa.array(ids, pa.string()), {}, 0
    for batch in tokens.scan(["id"], 1 << 16):
        here = np.flatnonzero(pc.is_in(batch["id"], wanted).to_numpy(zero_copy_only=False))
        found.update({first + row: batch["id"][row].as_py() for row in here.tolist()})
        first += batch.num_rows
    return found


def _entries(plan: Plan, number: int, documents: dict[int, str]) -> list[tuple[str, Seen]]:
    source, pieces = plan.spec.sources[number], plan.outputs.pieces
    if not documents or not source.rows:
        return []
    rows = slice(source.first_row, source.first_row + source.rows)
    begins = open_column(plan.outputs.packed, "first_piece")[rows]
    epochs = open_column(plan.outputs.packed, "epoch")[rows]
    document, length = open_column(pieces, "document"), open_column(pieces, "length")
    wanted = np.array(list(documents), np.int64)
    totals: dict[tuple[str, int], tuple[set[int], int]] = {}
    for first in range(0, source.pieces, PIECES):
        part = slice(
            source.first_piece + first, source.first_piece + min(source.pieces, first + PIECES)
        )
        held = document[part]
        here = np.flatnonzero(np.isin(held, wanted))
        of_row = np.searchsorted(begins, here + first, "right") - 1
        sizes = length[part][here]
        for row, which, size in zip(
            of_row.tolist(), held[here].tolist(), sizes.tolist(), strict=True
        ):
            key = documents[which], int(epochs[row])
            in_rows, tokens = totals.get(key, (set(), 0))
            totals[key] = (in_rows | {row}, tokens + size)
    return [
        (id_, Seen(source.name, epoch, len(in_rows), tokens))
        for (id_, epoch), (in_rows, tokens) in sorted(totals.items())
    ]
