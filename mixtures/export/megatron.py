"""Megatron: tokens in `.bin`, and where each sequence lies in `.idx`.

In: sequences. Out: `part_00000.bin`, `part_00000.idx` (IndexedDataset, version 1): magic, version,
code of the dtype, how many sequences and boundaries; then int32 sizes, int64 byte offsets, int64
boundaries of documents. Shown by: `gristmill export tokens/web --to megatron --out web-megatron`.
Limit: the format has no loss mask and no uint32: ids of large vocabularies become int32.

Every sequence is a document of its own, as Megatron's GPTDataset expects; a row keeps its padding,
so that `GPTDataset` with the same sequence length cuts where the rows end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from gristmill.errors import StoreError
from mixtures.export.files import Format, Job, Part, token_files
from mixtures.export.sequences import Sequences, parts

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
_CODES: dict[np.dtype[Any], tuple[int, np.dtype[Any]]] = {
    np.dtype("<u2"): (8, np.dtype("<u2")),
    np.dtype("<u4"): (4, np.dtype("<i4")),
}
_AT_ONCE = 1 << 20  # sizes read again at a time


def write(job: Job, stream: Iterable[Sequences]) -> list[Part]:
    """Write all parts: a `.bin` and an `.idx` each; readers take the name without either."""
    code, dtype = _CODES[job.dtype]
    written = []
    for number, some in enumerate(parts(stream, job.most)):
        part = Part(f"part_{number:05d}.bin")
        with TemporaryFile(dir=job.place) as sizes:
            with token_files(job, part, None) as put:
                for sequences in some:
                    _check(sequences, dtype)
                    sizes.write(sequences.lengths.astype("<i4").data)
                    put(sequences, dtype)
            index = job.place / part.file.replace(".bin", ".idx")
            _write_index(index, sizes, part.sequences, code, dtype)
        written.append(part)
    return written


def _check(some: Sequences, dtype: np.dtype[Any]) -> None:
    for what, values, kind in (("token", some.tokens, dtype), ("length", some.lengths, np.int32)):
        largest, most = int(values.max(initial=0)), np.iinfo(kind).max
        if largest > most:
            raise StoreError(
                f"{what} {largest:,} does not fit Megatron's {np.dtype(kind)}, at most {most:,}; "
                "export with --to olmo, or tokenise with a smaller vocabulary"
            )


def _write_index(
    path: Path, sizes: IO[bytes], sequences: int, code: int, dtype: np.dtype[Any]
) -> None:
    """From sizes on disk, so that memory does not grow with their number."""
    with open(path, "wb") as index:
        index.write(MAGIC + struct.pack("<QBQQ", VERSION, code, sequences, sequences + 1))
        for block in _read(sizes):
            index.write(block.data)
        offset = 0
        for block in _read(sizes):
            ends = offset + np.cumsum(block, dtype=np.int64) * dtype.itemsize
            index.write(np.append(np.int64(offset), ends[:-1]).astype("<i8").data)
            offset = int(ends[-1])
        for first in range(0, sequences + 1, _AT_ONCE):
            stop = min(first + _AT_ONCE, sequences + 1)
            index.write(np.arange(first, stop, dtype="<i8").data)


def _read(sizes: IO[bytes]) -> Iterator[npt.NDArray[np.int32]]:
    sizes.seek(0)
    while block := sizes.read(4 * _AT_ONCE):
        yield np.frombuffer(block, "<i4")


FORMAT = Format("megatron", "Megatron Core (IndexedDataset)", write, None, holds_mask=False)
