"""OLMo-core: plain arrays of tokens in `.npy` files, masks and document boundaries beside them.

In: sequences. Out: `token_ids_part_00000.npy` (no header: bytes of uint16 or uint32),
`token_ids_part_00000.csv.gz` (a line a document or piece: first token, last token + 1, number of
the document or row), and, where tokens bear no loss, `labels_mask_part_00000.npy` (bool).
Shown by: `gristmill export tokens/web --to olmo --out web-olmo`.
Limit: OLMo-core finds local documents by their EOS unless told to use the boundaries
(`use_array_if_local=False`); it needs the dtype said for vocabularies of up to 256 tokens.

`label_mask` means there what a loss mask means here: whether the token at that place is predicted.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from mixtures.export.files import GIB, Format, Job, Part, token_files
from mixtures.export.sequences import Sequences, parts

_BOUNDS = pa.schema([("start", pa.int64()), ("stop", pa.int64()), ("number", pa.int64())])


def write(job: Job, stream: Iterable[Sequences]) -> list[Part]:
    """Write all parts: one file of tokens each."""
    written = []
    for number, some in enumerate(parts(stream, job.most)):
        part = Part(f"token_ids_part_{number:05d}.npy")
        index = job.place / part.file.replace(".npy", ".csv.gz")
        mask = part.file.replace("token_ids", "labels_mask")
        with token_files(job, part, mask) as put, _boundaries(index) as table:
            for sequences in some:
                table.write_table(_bounds(sequences, part.tokens))
                put(sequences)
        written.append(part)
    return written


def _bounds(some: Sequences, base: int) -> pa.Table:
    start, stop = some.bounds()
    filled = stop > start
    numbers = np.repeat(some.numbers, some.pieces)
    return pa.table([start[filled] + base, stop[filled] + base, numbers[filled]], schema=_BOUNDS)


@contextmanager
def _boundaries(path: Path) -> Iterator[csv.CSVWriter]:
    """A table in a gzip file without name or time, so that equal exports have equal bytes."""
    with (
        open(path, "wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        csv.CSVWriter(packed, _BOUNDS, write_options=csv.WriteOptions(include_header=False)) as out,
    ):
        yield out


FORMAT = Format("olmo", "OLMo-core (NumpyFSLDataset, NumpyDocumentSource)", write, 4 * GIB)
