"""TRL's `pack_dataset`, and best fit in plain Python, over documents of given lengths.

In: an .npy of lengths; a document's tokens are its number. Out: packed rows, and the ledger read
back from them. Shown by: `python -m bench.packing`. Limit: TRL packs tokens, so its time includes
copying them; it is given Arrow data in memory, writes none, and packs its default of 1,000
documents at a time, or as many as `batch` says.
"""

from __future__ import annotations

import time
from bisect import bisect_left, insort
from typing import Any

import numpy as np

from bench.worker import Job


def open_trl(path: str, seq: int, strategy: str, batch: int = 1000) -> Job:
    """`pack_dataset`, timed without the ledger."""
    import datasets
    import pyarrow as pa
    from trl.data_utils import pack_dataset

    datasets.disable_caching()
    datasets.disable_progress_bars()
    lengths = np.load(path)
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    tokens = pa.array(np.repeat(np.arange(len(lengths), dtype=np.int32), lengths))
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), tokens)
    dataset = datasets.Dataset(pa.table({"input_ids": lists}))
    options = {"keep_in_memory": True, "batch_size": batch, "load_from_cache_file": False}

    def run() -> dict[str, Any]:
        begin = time.perf_counter()
        packed = pack_dataset(dataset, seq, strategy, options)
        seconds = time.perf_counter() - begin
        return {**ledger(packed, lengths, seq), "seconds": seconds}

    return Job(run=run, packages=["trl", "datasets", "pyarrow"])


def ledger(packed: Any, lengths: np.ndarray, seq: int) -> dict[str, Any]:
    """As Gristmill's: shares of all tokens that were kept whole, kept in parts, dropped."""
    column = packed.data.table["input_ids"].combine_chunks()
    row = np.repeat(np.arange(len(column)), np.diff(column.offsets.to_numpy()))
    token = column.flatten().to_numpy()
    opens = np.flatnonzero(np.diff(token, prepend=-1) | np.diff(row, prepend=-1))
    pieces = np.bincount(token[opens], minlength=len(lengths))
    kept = np.bincount(token, minlength=len(lengths))
    whole = int(lengths[(pieces == 1) & (kept == lengths)].sum())
    drawn = int(lengths.sum())
    return {
        "kept_whole": whole / drawn,
        "kept_split": (int(kept.sum()) - whole) / drawn,
        "dropped": 1 - int(kept.sum()) / drawn,
        "padding": 1 - int(kept.sum()) / (len(column) * seq),
        "rows": len(column),
    }


def open_plain(path: str, seq: int, window: int = 8192) -> Job:
    """Best fit decreasing with a sorted list of rooms; pieces only, a window at a time."""
    lengths = np.load(path).tolist()

    def run() -> dict[str, Any]:
        rows: list[list[tuple[int, int, int]]] = []
        for first in range(0, len(lengths), window):
            rests = []
            for document, length in enumerate(lengths[first : first + window], first):
                full = length - length % seq
                rows += [[(document, offset, seq)] for offset in range(0, full, seq)]
                if full < length:
                    rests.append((length - full, document, full))
            rests.sort(reverse=True)
            rooms: list[tuple[int, int]] = []
            for rest, document, offset in rests:
                place = bisect_left(rooms, (rest, 0))
                if place < len(rooms):
                    room, row = rooms.pop(place)
                else:
                    room, row = seq, len(rows)
                    rows.append([])
                rows[row].append((document, offset, rest))
                insort(rooms, (room - rest, row))
        return {"rows": len(rows), "padding": 1 - sum(lengths) / (len(rows) * seq)}

    return Job(run=run)
