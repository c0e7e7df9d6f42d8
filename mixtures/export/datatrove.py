"""datatrove and nanotron: tokens in `.ds`, ends of documents in `.ds.index`.

In: sequences. Out: `part_00000.ds`, `.ds.index` (uint64: where each document or piece ends, and the
padding of a row), `.ds.metadata` (tokenizer and bytes a token, tokens, the same for people), and,
where tokens bear no loss, `.ds.loss` (a byte a token).
Shown by: `gristmill export tokens/web --to datatrove --out web-ds`.
Limit: the reader cuts windows of `seq_len + 1` tokens; give it one less than the rows' length to
get rows back.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gristmill.progress import human
from mixtures.export.files import GIB, Format, Job, Part, token_files
from mixtures.export.sequences import I64, Sequences, parts


def write(job: Job, stream: Iterable[Sequences]) -> list[Part]:
    """Write all parts."""
    written = []
    for number, some in enumerate(parts(stream, job.most)):
        part = Part(f"part_{number:05d}.ds")
        index = job.place / f"{part.file}.index"
        with token_files(job, part, f"{part.file}.loss") as put, open(index, "wb") as ends:
            for sequences in some:
                ends.write((_ends(sequences) + part.tokens).astype("<u8").data)
                put(sequences)
        lines = f"{job.tokenizer}|{job.dtype.itemsize}\n{part.tokens}\n{human(part.tokens, 'T')}"
        (job.place / f"{part.file}.metadata").write_text(lines, encoding="utf-8")
        written.append(part)
    return written


def _ends(some: Sequences) -> I64:
    """Ends of pieces and of rows, each once: a row's padding counts as a document."""
    start, stop = some.bounds()
    return np.unique(np.append(stop[stop > start], np.cumsum(some.lengths)))


FORMAT = Format("datatrove", "datatrove (DatatroveFolderDataset), nanotron", write, 4 * GIB)
