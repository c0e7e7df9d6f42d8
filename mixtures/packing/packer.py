"""Packer: a source's documents, epoch after epoch, into rows of any length asked for.

In: a callback that gives documents and their lengths by range of an epoch's order. Out: `Packed`
rows, and the `Account` of all tokens. Shown by: `python -m bench.packing`. Limit: one after
another: to reach a row, all rows before it are packed.

Documents are packed a window at a time. Rows that are still open at a window's end are taken apart,
and their documents join the next window. At an epoch's end they come out with padding, so no row
holds a document twice. Where a call ends inside a window, its other rows are taken apart too, and
the next call goes on with their documents and with what comes after them, whatever its row length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gristmill.errors import RecipeError, nearest
from gristmill.rng import derive_seed
from mixtures.packing.account import Account
from mixtures.packing.best_fit import best_fit
from mixtures.packing.in_order import concat, greedy, one_per_row
from mixtures.packing.layout import I32, I64, Layout, empty_pool, fill

METHODS = ("whole", "best_fit", "concat", "one_per_row", "greedy")
WINDOW = 8192  # documents; ten times as many fill rows by less than 0.1 % better
WINDOW_ROWS = 64  # of tokens in a window at least: 8,192 short documents are few rows of 131,072
_IN_ORDER = {"concat": concat, "one_per_row": one_per_row, "greedy": greedy}
_INT32 = 2**31 - 1

# documents(epoch, first, count) -> document numbers, tokens of each: `count` of the epoch's order
Documents = Callable[[int, int, int], tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]]]


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows in the order of training: n rows, m pieces, those of a row side by side."""

    epoch: I32  # n: all documents of a row are of one epoch
    pieces: I32  # n
    tokens: I32  # n: the rest of the row is padding
    document: I64  # m
    offset: I32  # m: the piece's first token within the document
    length: I32  # m


class Packer:
    """Packs a source's documents by one of `METHODS`, without end: epoch follows epoch."""

    def __init__(
        self,
        method: str,
        documents: Documents,
        per_epoch: int,
        seed: int,
        window: int = WINDOW,
        window_rows: int = WINDOW_ROWS,
    ) -> None:
        if method not in METHODS:
            raise RecipeError(f"unknown packing {method!r}{nearest(method, METHODS)}")
        if per_epoch < 1:
            raise RecipeError(f"{per_epoch} documents an epoch: packing needs at least one")
        if window < 1 or window_rows < 1:
            raise RecipeError(
                f"a window of {window} documents and {window_rows} rows: give at least 1 of each"
            )
        self._method, self._documents, self._per_epoch = method, documents, per_epoch
        self._seed, self._window, self._window_rows = seed, window, window_rows
        self._epoch = 0
        self._drawn = 0  # documents of this epoch that were asked for
        self._turn = 0  # windows of this epoch so far
        self._barren = True  # no row of this epoch yet
        self._pool = empty_pool()
        self._account = Account()

    def rows(self, count: int, seq: int) -> Iterator[Packed]:
        """The next `count` rows of `seq` tokens, a `Packed` a window.

        RecipeError where an epoch gives no row at all.
        """
        if count < 0 or not 1 <= seq <= _INT32:
            raise RecipeError(f"{count} rows of {seq} tokens: rows have 1 to {_INT32} tokens")
        count, seq = int(count), int(seq)  # counts of an account are Python's
        while count:
            if self._drawn == self._per_epoch and not len(self._pool):
                self._next_epoch(seq)
            self._draw(seq)
            packed = self._pack(count, seq)
            count -= len(packed.pieces)
            if len(packed.pieces):
                yield packed

    def account(self) -> Account:
        """Where all tokens went, up to the last rows that came out."""
        carried = int(self._pool.length.sum())
        return replace(self._account, carried=carried, documents_carried=len(self._pool))

    def _next_epoch(self, seq: int) -> None:
        if self._barren:
            reason = (
                f"none of them has 1 to {seq} tokens, and `whole` drops longer ones; take "
                "best_fit, or longer rows"
                if self._account.documents_dropped
                else "they hold no tokens; leave the source out"
            )
            raise RecipeError(f"an epoch of {self._per_epoch:,} documents gave no row: {reason}")
        self._epoch += 1
        self._drawn = self._turn = 0
        self._barren = True

    def _draw(self, seq: int) -> None:
        """Fill the pool up to a window: enough documents, and tokens for enough rows."""
        self._ask(self._window - len(self._pool))
        enough = self._window_rows * seq
        while self._drawn < self._per_epoch and int(self._pool.length.sum()) < enough:
            self._ask(max(self._window, len(self._pool)))

    def _ask(self, count: int) -> None:
        """The next documents of this epoch into the pool."""
        left = self._per_epoch - self._drawn
        if count < 1 or not left:
            return
        # An epoch's last few would pack badly alone: they join the window before.
        take = count if left - count >= self._window // 2 else left
        document, length = self._documents(self._epoch, self._drawn, take)
        if len(document) != take or len(length) != take or length.min() < 0:
            raise ValueError(
                f"documents({self._epoch}, {self._drawn}, {take}) gave {len(document)} "
                f"documents and {len(length)} lengths from {length.min(initial=0)} on: "
                f"give {take} of each, no length below 0"
            )
        self._drawn += take
        some = length > 0
        self._pool.extend(document[some], length[some])
        self._add(
            drawn=int(length.sum(dtype=np.int64)),
            documents_drawn=take,
            documents_empty=take - int(some.sum()),
        )

    def _pack(self, count: int, seq: int) -> Packed:
        """Rows of the window in the pool, `count` at most."""
        pool = self._pool
        layout = self._layout(seq)
        filled = fill(pool, layout, count, cut=self._method == "one_per_row")
        rows, tokens = len(filled.pieces), int(filled.tokens.sum(dtype=np.int64))
        dropped = longer = 0
        if rows == len(layout.order):  # the window is done
            if self._method == "whole":
                too_long = pool.length > seq
                dropped, longer = int(pool.length[too_long].sum()), int(too_long.sum())
                pool.length[too_long] = 0
            pool.waited[:] = True
        pool.keep(pool.length > 0)
        self._turn += 1
        self._barren &= not rows
        self._add(
            rows=rows,
            places=rows * seq,
            padding=rows * seq - tokens,
            kept_whole=filled.kept_whole,
            kept_split=filled.kept_split,
            dropped=filled.cut + dropped,
            documents_whole=filled.documents_whole,
            documents_split=filled.documents_split,
            documents_dropped=longer,
        )
        epoch = np.full(rows, self._epoch, np.int32)
        pieces = filled.document, filled.offset, filled.length
        return Packed(epoch, filled.pieces, filled.tokens, *pieces)

    def _layout(self, seq: int) -> Layout:
        pool, last = self._pool, self._drawn == self._per_epoch
        if self._method in _IN_ORDER:
            return _IN_ORDER[self._method](pool.length, seq, last)
        seed = derive_seed(self._seed, "packing", self._epoch, self._turn)
        split = self._method == "best_fit"
        return best_fit(pool.length, pool.waited, seq, last, seed, split)

    def _add(self, **counts: int) -> None:
        now = {name: getattr(self._account, name) + value for name, value in counts.items()}
        self._account = replace(self._account, **now)
