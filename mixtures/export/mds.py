"""MDS: the shards of mosaicml-streaming.

In: sequences. Out: `shard.00000.mds …` and `index.json`. Columns: `input_ids` (ndarray of uint16 or
uint32; `--column` gives it another name), `number` (row number or position in the plan), for rows
`lengths` (int32, tokens of each piece; what is left of a row is padding), and, where tokens bear no
loss, `loss_mask` (uint8). Shown by: `gristmill export tokens/web --to mds --out web-mds`.
Limit: a shard is put together in memory, twice its size.

Labels and positions are not written: both follow from `lengths` and `loss_mask`. A shard is: how
many samples (uint32), where each begins and the last ends (uint32), the columns as JSON, the
samples. A sample is: sizes of its columns of varying size (uint32), then the columns by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gristmill.errors import GristmillError
from mixtures.export.files import GIB, MIB, Format, Job, Part
from mixtures.export.sequences import I64, Sequences, edges, parts

U8 = npt.NDArray[np.uint8]
_FIXED = {"int": 8}  # bytes of encodings of one size; ndarrays vary
_SHAPE = np.uint8(1 << 2 | 2)  # one dimension, written as uint32
_HEAD = 5  # bytes before an ndarray's values: that byte and the dimension
_OVERHEAD = 64  # bytes of a sample beside its tokens, about


def write(job: Job, stream: Iterable[Sequences]) -> list[Part]:
    """Write all shards and their index."""
    shards: list[dict[str, Any]] = []
    written: list[Part] = []
    for some in parts(stream, job.most, _OVERHEAD):
        part = Part(f"shard.{len(written):05d}.mds")
        sizes, bodies = [], []
        for sequences in some:
            columns = _columns(job, sequences)
            part.count(sequences)
            size, body = _samples(sequences, columns)
            sizes.append(size)
            bodies.append(body)
        config = _config(job, {name: encoding for name, (encoding, *_) in columns.items()})
        shards.append(_write_shard(job, part, np.concatenate(sizes), bodies, config))
        written.append(part)
    index = json.dumps({"shards": shards, "version": 2}, sort_keys=True)
    (job.place / "index.json").write_text(index, encoding="utf-8")
    return written


Columns = dict[str, tuple[str, npt.NDArray[Any], I64]]  # encoding, values end to end, how many each


def _columns(job: Job, some: Sequences) -> Columns:
    """The columns of a sample, by name."""
    ones = np.ones(len(some), np.int64)
    columns: Columns = {
        job.column: (f"ndarray:{job.dtype}", some.tokens, some.lengths),
        "number": ("int", some.numbers, ones),
    }
    if some.seq:
        columns["lengths"] = ("ndarray:int32", some.spans.astype(np.int32), some.pieces)
    if some.mask is not None:
        columns["loss_mask"] = ("ndarray:uint8", some.mask.view(np.uint8), some.lengths)
    if len(columns) != 2 + bool(some.seq) + (some.mask is not None):
        raise GristmillError(f"--column {job.column!r} is the name of another column; use another")
    return dict(sorted(columns.items()))


def _samples(some: Sequences, columns: Columns) -> tuple[I64, U8]:
    """Size of each sample, and all of them end to end."""
    sizes, bodies = [], []
    for encoding, values, counts in columns.values():
        size = counts * values.itemsize
        if encoding not in _FIXED:
            head = np.empty((len(some), _HEAD), np.uint8)
            head[:, 0] = _SHAPE
            head[:, 1:] = counts.astype("<u4")[:, None].view(np.uint8)
            bodies.append(_binary(head.ravel(), np.full(len(some), _HEAD)))
            sizes.append(size + _HEAD)
        bodies.append(_binary(np.ascontiguousarray(values).view(np.uint8), size))
    heads = np.stack(sizes, 1).astype("<u4")
    first = _binary(heads.view(np.uint8).ravel(), np.full(len(some), 4 * len(sizes)))
    joined = pc.binary_join_element_wise(first, *bodies, pa.scalar(b"", pa.large_binary()))
    _, offsets, data = joined.buffers()
    bounds = np.frombuffer(offsets, np.int64)[joined.offset : joined.offset + len(joined) + 1]
    return np.diff(bounds), np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]]


def _binary(values: U8, sizes: I64) -> pa.Array:
    """Bytes end to end as a column, without a copy."""
    buffers = [None, pa.py_buffer(edges(sizes)), pa.py_buffer(values)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(sizes), buffers)


def _config(job: Job, encodings: dict[str, str]) -> dict[str, Any]:
    return {
        "column_encodings": list(encodings.values()),
        "column_names": list(encodings),
        "column_sizes": [_FIXED.get(encoding) for encoding in encodings.values()],
        "compression": None,
        "format": "mds",
        "hashes": [],
        "size_limit": job.most,
        "version": 2,
    }


def _write_shard(
    job: Job, part: Part, sizes: I64, bodies: list[U8], config: dict[str, Any]
) -> dict[str, Any]:
    """One shard; returns its entry of the index."""
    text = json.dumps(config, sort_keys=True).encode()
    begin = 4 * (len(sizes) + 2) + len(text)
    bounds = edges(sizes) + begin
    with open(job.place / part.file, "wb") as shard:
        shard.write(np.array([len(sizes)], "<u4").data)
        shard.write(bounds.astype("<u4").data)
        shard.write(text)
        for body in bodies:
            shard.write(body.data)
    raw = {"basename": part.file, "bytes": int(bounds[-1]), "hashes": {}}
    return {**config, "raw_data": raw, "samples": len(sizes), "zip_data": None}


# Offsets are uint32; masks and lengths add at most 2.5 times the tokens' bytes.
FORMAT = Format("mds", "mosaicml-streaming (StreamingDataset)", write, 64 * MIB, most_bytes=GIB)
