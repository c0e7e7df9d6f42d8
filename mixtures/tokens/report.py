"""What tokenising made of each source: documents, tokens, empty and unknown ones.

In: batches as they are encoded. Out: rows of `.report`, one a source.
Shown by: `gristmill sql 'select * from "tokens/web.report"'`.
Limit: with more than 1,000 sources (files of a crawl, say) there is one row for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mixtures.tokens.encode import Encoded

MAX_SOURCES = 1000
COLUMNS = ("documents", "empty", "tokens", "text_bytes", "unknown", "replaced", "longest")
REPORT = pa.schema([("source", pa.string()), *((name, pa.int64()) for name in COLUMNS)])
_MAX = COLUMNS.index("longest")  # joined by the maximum, all others by the sum
Counts = npt.NDArray[np.int64]
UNKNOWN_SHARE = 0.01  # of tokens, from where a note is due


class Account:
    """Counts by source, int64[7] each in the order of COLUMNS."""

    def __init__(self) -> None:
        self._rows: dict[str | None, Counts] = {}
        self._lumped = False

    def add(
        self, source: pa.Array | None, text: pa.Array, made: Encoded, unknown: int | None
    ) -> None:
        """One batch. unknown: the id of the unknown token, or None."""
        count = len(made.counts)
        if source is None:
            source = pa.nulls(count, pa.string())
        names = pc.dictionary_encode(pc.cast(source, pa.string()), null_encoding="encode")
        places = names.indices.to_numpy(zero_copy_only=False)
        size = pc.fill_null(pc.binary_length(text), 0).to_numpy(zero_copy_only=False)
        misses = np.zeros(count, np.int64)
        if unknown is not None:
            owner = np.repeat(np.arange(count), made.counts)
            misses = np.bincount(owner[made.tokens == unknown], minlength=count)
        rows = np.zeros((len(names.dictionary), len(COLUMNS)), np.int64)
        ones, empty = np.ones(count, np.int64), made.counts == 0
        for column, values in enumerate((ones, empty, made.counts, size, misses, made.replaced)):
            np.add.at(rows[:, column], places, values.astype(np.int64))
        np.maximum.at(rows[:, _MAX], places, made.counts)
        self._join(zip(names.dictionary.to_pylist(), rows, strict=True))

    def join(self, value: Mapping[str, Any]) -> None:
        """What another account's `value()` gave."""
        self._join((name, np.array(row, np.int64)) for name, row in value["rows"])
        if value["lumped"]:
            self._lump()

    def value(self) -> dict[str, Any]:
        """As JSON: rows [source, counts], sorted by source; None, what has no source, first."""
        order = sorted(self._rows, key=lambda name: (name is not None, name or ""))
        rows = [[name, self._rows[name].tolist()] for name in order]
        return {"lumped": self._lumped, "rows": rows}

    def total(self, column: str) -> int:
        """Of all sources."""
        return sum(int(row[COLUMNS.index(column)]) for row in self._rows.values())

    def notes(self) -> Iterator[str]:
        """What a user should know."""
        tokens, unknown = self.total("tokens"), self.total("unknown")
        if unknown > UNKNOWN_SHARE * tokens:
            yield (
                f"{unknown / tokens:.1%} of the tokens are the unknown token: this tokenizer does "
                "not know the text's characters; a byte-level one would"
            )
        if replaced := self.total("replaced"):
            yield f"{replaced:,} texts were not UTF-8; what was broken became U+FFFD"

    def _join(self, rows: Iterable[tuple[str | None, Counts]]) -> None:
        for name, row in rows:
            name = None if self._lumped else name
            known = self._rows.get(name)
            self._rows[name] = row if known is None else _joined(known, row)
        if len(self._rows) > MAX_SOURCES:
            self._lump()

    def _lump(self) -> None:
        """One row for all from now on."""
        before, self._rows, self._lumped = self._rows, {}, True
        self._join(before.items())


def _joined(first: Counts, second: Counts) -> Counts:
    out = first + second
    out[_MAX] = max(first[_MAX], second[_MAX])
    return out


def report_rows(value: Mapping[str, Any]) -> pa.Table:
    """Rows of `.report`."""
    names = pa.array([name for name, _ in value["rows"]], pa.string())
    counts = np.array([row for _, row in value["rows"]], np.int64).reshape(-1, len(COLUMNS))
    return pa.table([names, *map(pa.array, counts.T)], schema=REPORT)
