"""The n-grams of a set of items, and where they occur in other texts.

In: item texts (benchmark questions). Out: an index to save and map; `find` gives the hits in texts.
Shown by: `python -m gristmill.text.ngrams "an item of words" "a text that holds an item of words"`.
Limit: an index is built in memory: about 60 bytes for each distinct n-gram of the items.

An n-gram is n normalised words in a row (gristmill.text.words). Not every n-gram is evidence:
calendars, page numbers and tables repeat "1 2 3 4 …" everywhere. One is indexed only if it holds at
least `min_distinct` different words of two or more letters (an ideograph counts as one; half of the
words do where that is less), and no more than `max_counting` numbers in a row that count up by one.
Items shorter than the shortest n-gram that have `min_words` are indexed whole.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gristmill.errors import GristmillError
from gristmill.text import ngram_build as build
from gristmill.text import ngram_scan as scan
from gristmill.text.buffers import string_buffers
from gristmill.text.unicode import tables

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
MIN_DISTINCT, MAX_COUNTING = 4, 3
# At most two mebibytes a length, 16 bits an entry below: see the measurement in docs/DECISIONS.md.
FILTER_BITS = 24


@dataclass(frozen=True)
class NgramIndex:
    """Entries (distinct n-grams and whole short items) with their postings; plain arrays."""

    lengths: I64  # [L] words hashed at each position of a text, ascending
    filters: U64  # a bitmap a length: may the n-gram that ends here be an entry?
    filter_at: I64  # [L + 1] bounds into it
    keys: U64  # open-addressing table, slot -> hash ...
    slots: I32  # ... -> first entry, -1 = free
    next_entry: I32  # [E] another entry with the same hash, -1 = none
    entry_words: I32  # [E] how many words it has
    entry_first: I64  # [E] where its words start in item_hashes
    postings: I64  # [E + 1] bounds into the two below
    posting_item: I32  # [P] ascending within an entry
    posting_word: I32  # [P] position of its first word in the item
    item_offsets: I64  # [I + 1] bounds into item_hashes
    item_hashes: U64  # word hashes of every item
    item_kept: I32  # [I] n-grams that are evidence (1 for an item indexed whole)
    item_dropped: I32  # [I] n-grams that are not
    item_reach: I32  # [I] words that lie in some n-gram that is evidence

    def __post_init__(self) -> None:
        for field in fields(self):  # mapped or not, kernels see one type: read-only
            array = np.asarray(getattr(self, field.name)).view(np.ndarray)
            array.flags.writeable = False
            object.__setattr__(self, field.name, array)

    def __len__(self) -> int:
        return len(self.entry_words)

    @property
    def item_words(self) -> I64:
        """[I] words of each item."""
        return np.diff(self.item_offsets)

    @cached_property
    def arrays(self) -> scan.Arrays:
        """What the scanning kernel takes."""
        return scan.Arrays(
            self.lengths, scan.powers_of(self.lengths), self.filters, self.filter_at,
            np.uint64(64) - np.log2(np.diff(self.filter_at)).astype(np.uint64),
            self.keys, np.uint64(65 - len(self.keys).bit_length()), self.slots,
            self.next_entry, self.entry_words, self.entry_first, self.item_hashes,
        )  # fmt: skip

    def save(self, folder: Path) -> None:
        """One .npy an array, so that workers can map them."""
        folder.mkdir(parents=True, exist_ok=True)
        for field in fields(self):
            np.save(folder / f"{field.name}.npy", getattr(self, field.name), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> NgramIndex:
        """Map what `save` wrote; the processes of a machine share the pages."""
        return cls(*(_mapped(folder / f"{field.name}.npy") for field in fields(cls)))


@dataclass(frozen=True, slots=True)
class Hits:
    """Shared n-grams: one row a (text, entry), at its first place; sorted by text, word, entry.

    Byte positions count from the start of the text.
    """

    text: I64  # number of the text in the array
    entry: I64
    word: I64  # position of the first word in the text
    start: I64
    end: I64
    run_text: I64  # stretches of a text that n-grams cover, joined where they overlap, in order
    run_start: I64
    run_end: I64


def build_index(
    items: pa.Array | pa.ChunkedArray,
    lengths: Sequence[int],
    min_words: int | None = None,
    min_distinct: int = MIN_DISTINCT,
    max_counting: int = MAX_COUNTING,
) -> NgramIndex:
    """Index every n-gram of `lengths` words, and whole items of min_words..min(lengths)-1 words."""
    sizes = np.unique(np.asarray(lengths, np.int64))
    shortest = int(sizes[0]) if len(sizes) else 0
    if shortest < 1 or (min_words is not None and min_words < 1):
        raise GristmillError(
            f"n-grams of {list(lengths)} words, items of {min_words} or more: both must be at "
            "least 1; usual are lengths [13] with 8"
        )
    whole = min(min_words or shortest, shortest)
    data, offsets = string_buffers(items)
    count = np.zeros(len(offsets) - 1, np.int64)
    none = np.empty(0, np.uint64), np.empty(0, np.bool_), np.empty(0, np.int64)
    build.describe_words(data, offsets, tables(), count, *none)
    item_offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(count)])
    total = int(item_offsets[-1])
    hashes, kinds = np.empty(total, np.uint64), np.empty(total, np.bool_)
    numbers = np.empty(total, np.int64)
    build.describe_words(data, offsets, tables(), count, hashes, kinds, numbers)

    most = int(sum(np.maximum(count - n + 1, 0).sum() for n in sizes))
    most += int(((count >= whole) & (count < shortest)).sum())
    slots = 1 << max(4, (2 * most - 1).bit_length())
    keys, heads = np.zeros(slots, np.uint64), np.full(slots, -1, np.int32)
    next_entry, entry_words = np.full(most, -1, np.int32), np.zeros(most, np.int32)
    entry_first, entry_count = np.zeros(most, np.int64), np.zeros(most, np.int64)
    posting_entry, posting_item, posting_word = (np.zeros(most, np.int32) for _ in range(3))
    kept, dropped = np.zeros(len(count), np.int32), np.zeros(len(count), np.int32)
    entries, postings, wholes = build.enter_ngrams(
        item_offsets, hashes, kinds, numbers, sizes, whole, min_distinct, max_counting,
        keys, heads, next_entry, entry_words, entry_first, entry_count,
        posting_entry, posting_item, posting_word, kept, dropped,
    )  # fmt: skip
    begins = item_offsets[posting_item[:postings]] + posting_word[:postings]
    ends = begins + entry_words[posting_entry[:postings]]
    depth = np.bincount(begins, minlength=total + 1) - np.bincount(ends, minlength=total + 1)
    reached = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.cumsum(depth) > 0)])
    order = np.argsort(posting_entry[:postings], kind="stable")
    probed = np.unique([*sizes, whole]) if wholes else sizes
    filters, filter_at = _filters(probed, shortest, hashes, entry_first[:entries], entry_words)
    return NgramIndex(
        lengths=probed,
        filters=filters,
        filter_at=filter_at,
        keys=keys,
        slots=heads,
        next_entry=next_entry[:entries].copy(),
        entry_words=entry_words[:entries].copy(),
        entry_first=entry_first[:entries].copy(),
        postings=np.concatenate([np.zeros(1, np.int64), np.cumsum(entry_count[:entries])]),
        posting_item=posting_item[order],
        posting_word=posting_word[order],
        item_offsets=item_offsets,
        item_hashes=hashes,
        item_kept=kept,
        item_dropped=dropped,
        item_reach=np.diff(reached[item_offsets]).astype(np.int32),
    )


def _filters(
    lengths: I64, shortest: int, hashes: U64, entry_first: I64, entry_words: I32
) -> tuple[U64, I64]:
    """One bitmap a probed length, one after another, and their bounds."""
    parts = []
    entry_words = entry_words[: len(entry_first)]
    for length in lengths.tolist():
        own = entry_words < shortest if length < shortest else entry_words == length
        bits = min(max(10, (16 * int(own.sum())).bit_length()), FILTER_BITS)
        bitmap = np.zeros(1 << (bits - 6), np.uint64)
        shift = np.uint64(64 - (bits - 6))
        build.fill_filter(hashes, entry_first, entry_words, length, shortest, bitmap, shift)
        parts.append(bitmap)
    bounds = np.cumsum([0, *(len(part) for part in parts)])
    return np.concatenate(parts), bounds.astype(np.int64)


def find(
    texts: pa.Array | pa.ChunkedArray,
    index: NgramIndex,
    exempt: npt.NDArray[np.bool_] | None = None,
    seen: I64 | None = None,
) -> Hits:
    """Every entry of the index that occurs in each text; `exempt` entries are passed over.

    seen: `len(index) + 1` zeros that a caller with many small arrays keeps between its calls;
    making them anew costs more than to scan one text.
    """
    data, offsets = string_buffers(texts)
    if exempt is None:
        exempt = np.zeros(len(index), np.bool_)
    if seen is None:
        seen = np.zeros(len(index) + 1, np.int64)  # untouched pages of it cost nothing
    hits, runs = np.empty((1024, 5), np.int64), np.empty((256, 3), np.int64)
    parts: list[tuple[I64, I64]] = []
    at, serial = 0, int(seen[-1]) + 1  # of the texts of all calls; the last place holds it
    while at < len(offsets) - 1 and len(index):
        begun = at
        at, n_hits, n_runs = scan.scan_texts(
            data, offsets, tables(), index.arrays, exempt, seen, at, serial, hits, runs
        )
        parts.append((hits[:n_hits].copy(), runs[:n_runs].copy()))
        serial += len(offsets)  # a text that did not fit is done again under another number
        if at == begun:  # not even one text fits
            hits = np.empty((4 * len(hits), 5), np.int64)
            runs = np.empty((4 * len(runs), 3), np.int64)
    seen[-1] = serial
    found = np.concatenate([part[0] for part in parts]) if parts else hits[:0]
    covered = np.concatenate([part[1] for part in parts]) if parts else runs[:0]
    found = found[np.lexsort((found[:, 1], found[:, 2], found[:, 0]))]
    return Hits(*(np.ascontiguousarray(c) for c in (*found.T, *covered.T)))


def _mapped(path: Path) -> npt.NDArray[Any]:
    return np.load(path, mmap_mode="r", allow_pickle=False)


if __name__ == "__main__":
    item, text = sys.argv[1:3]
    made = build_index(pa.array([item]), [min(5, max(1, len(item.split())))], min_distinct=1)
    found = find(pa.array([text]), made)
    for start, end in zip(found.start, found.end, strict=True):
        print(text.encode()[start:end].decode())
