"""Signals: integer counts of every text in a column, from which rules take ratios and decide.

In: a text column. Out: for each signal an int64 array with one number a text; null counts as empty.
Shown by: `python -m gristmill.text.signals "The mill grinds. The mill grinds."`.
Limit: a text of 2 GiB or more is refused.

Families are computed together where that is cheaper: `compute_signals(column, {"base",
"repetition"})` reads the text once. A new signal is a count in scan.py, a line in signal_table.py
and a line in the plain reference of the tests.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numba import njit

from gristmill.errors import GristmillError, nearest
from gristmill.text import datatrove_family, dolma_family, line_clean, line_refined
from gristmill.text import repetition as r
from gristmill.text.buffers import string_buffers
from gristmill.text.family import Family, Signals
from gristmill.text.scan import room, scan
from gristmill.text.signal_table import BASE, REPETITION, SHARED
from gristmill.text.unicode import tables

LONGEST_TEXT = 2**31 - 1


@njit(cache=True, nogil=True, boundscheck=False)
def _scan_all(data, tail, offsets, tables, counts, repeated):  # type: ignore[no-untyped-def]
    """Fill counts [signal, text] and, where it has rows, repeated [signal, text]."""
    keep = len(repeated) > 0
    words, breaks = np.int64(1), np.int64(1)
    if keep:
        for row in range(len(offsets) - 1):
            w, b = room(data, tail, offsets[row], offsets[row + 1])
            words, breaks = max(words, w), max(breaks, b)
    hashes, lengths = np.empty(words, np.uint64), np.empty(words, np.int32)
    line_hashes, line_lengths = np.empty(breaks, np.uint64), np.empty(breaks, np.int32)
    part_hashes, part_lengths = np.empty(breaks, np.uint64), np.empty(breaks, np.int32)
    most = max(words, breaks)
    first, times = np.empty(most, np.int32), np.empty(most, np.int32)
    places, codes = np.empty(most, np.int32), np.empty(most, np.uint64)
    slots = np.int64(16)
    while slots < 2 * most:
        slots *= 2
    table = np.empty(slots, np.int32)
    # at most 64 MiB: past eight million words it only tells fewer bigrams apart
    sketch = np.empty(4 * slots if slots < 1 << 24 else 1 << 26, np.uint8)
    top, covered = np.zeros(3, np.int64), np.zeros(6, np.int64)
    for row in range(len(offsets) - 1):
        n_words, n_lines, n_parts = scan(
            data, tail, offsets[row], offsets[row + 1], tables, counts, row, keep, hashes, lengths,
            line_hashes, line_lengths, part_hashes, part_lengths,
        )  # fmt: skip
        if not keep:
            continue
        found = r.duplicates(line_hashes, line_lengths, n_lines, first, times, table)
        for k in range(4):
            repeated[k, row] = found[k]
        found = r.duplicates(part_hashes, part_lengths, n_parts, first, times, table)
        for k in range(4):
            repeated[4 + k, row] = found[k]
        r.repeated_ngrams(
            hashes, lengths, n_words, top, covered, places, codes, first, times, table, sketch
        )
        for k in range(3):  # not by slices: their error messages alone take numba a second
            repeated[8 + k, row] = top[k]
        for k in range(6):
            repeated[11 + k, row] = covered[k]


def _compute(column: pa.Array | pa.ChunkedArray, repetition: bool) -> Signals:
    data, offsets = string_buffers(column)
    lengths = np.diff(offsets)
    if len(lengths) and lengths.max() > LONGEST_TEXT:
        raise GristmillError(
            f"a text of {lengths.max()} bytes; signals take at most {LONGEST_TEXT}; "
            "drop or cut such texts first (max_doc_bytes)"
        )
    tail = np.zeros(min(len(data), 64) + 64, np.uint8)
    tail[: len(tail) - 64] = data[len(data) - (len(tail) - 64) :]
    tail.flags.writeable = False
    counts = np.zeros((len(BASE), len(lengths)), np.int64)
    repeated = np.zeros((len(REPETITION) if repetition else 0, len(lengths)), np.int64)
    _scan_all(data, tail, offsets, tables(), counts, repeated)
    found = dict(zip(BASE, counts, strict=True))
    return found | dict(zip(REPETITION, repeated, strict=True)) if repetition else found


def _base(column: pa.Array | pa.ChunkedArray) -> Signals:
    return _compute(column, repetition=False)


def _repetition(column: pa.Array | pa.ChunkedArray) -> Signals:
    found = _compute(column, repetition=True)
    return {name: found[name] for name in (*REPETITION, *SHARED)}


FAMILIES: dict[str, Family] = {
    **datatrove_family.FAMILIES,
    **dolma_family.FAMILIES,
    **line_clean.FAMILIES,
    **line_refined.FAMILIES,
    "base": Family(tuple(BASE), _base),
    "repetition": Family((*REPETITION, *SHARED), _repetition),
}


def compute_signals(column: pa.Array | pa.ChunkedArray, families: Iterable[str]) -> Signals:
    """The signals of the named families: int64 [len(column)] each."""
    wanted = set(families)
    found: Signals = {}
    for name in wanted:
        if name not in FAMILIES:
            raise GristmillError(f"no signal family {name!r}{nearest(name, FAMILIES)}")
    if {"base", "repetition"} <= wanted:
        found = _compute(column, repetition=True)
        wanted -= {"base", "repetition"}
    if {"datatrove", "datatrove_fineweb"} <= wanted:
        found |= datatrove_family.compute(column, wanted)
        wanted -= {"datatrove", "datatrove_fineweb"}
    for name in sorted(wanted):
        found |= FAMILIES[name].compute(column)
    return found


if __name__ == "__main__":
    for name, values in compute_signals(pa.array(sys.argv[1:2]), FAMILIES).items():
        if values.any():
            print(f"{values[0]:8} {name}")
