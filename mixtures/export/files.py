"""What formats share: the job, files of plain tokens, and the record of each file.

In: sequences. Out: bytes as memory holds them. Shown by: any `gristmill export`.
Limit: little-endian machines, which all of the readers ask for too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mixtures.export.sequences import Sequences

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Job:
    """What a format needs to know of an export."""

    place: Path
    dtype: np.dtype[Any]  # of the tokens: uint16 or uint32
    most: int | None  # bytes of tokens in a file
    masked: bool  # whether the sequences come with a loss mask
    tokenizer: str  # its version, `tokens/web.tokenizer@1f2e…`, or "unknown"
    column: str = "input_ids"  # the name of the tokens, where the format has names


@dataclass(slots=True)
class Part:
    """One file of tokens (or its prefix), and what is in it."""

    file: str
    sequences: int = 0
    tokens: int = 0
    seq: int = 0

    def count(self, some: Sequences) -> None:
        self.sequences += len(some)
        self.tokens += len(some.tokens)
        self.seq = some.seq


Write = Callable[[Job, Iterable[Sequences]], list[Part]]


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write tokens."""

    name: str
    reader: str  # what reads it
    write: Write
    file_bytes: int | None  # the usual size of a file; None: one file however large
    holds_mask: bool = True
    most_bytes: int | None = None  # a file may not be larger


@contextmanager
def token_files(job: Job, part: Part, mask_name: str | None) -> Iterator[Callable[..., None]]:
    """Open `part.file`, and a mask's file beside it; yields what writes sequences into both."""
    with ExitStack() as stack:
        tokens = stack.enter_context(open(job.place / part.file, "wb"))
        mask = None
        if job.masked and mask_name is not None:
            mask = stack.enter_context(open(job.place / mask_name, "wb"))

        def write(some: Sequences, as_type: npt.DTypeLike | None = None) -> None:
            shown = some.tokens if as_type is None else some.tokens.astype(as_type)
            tokens.write(np.ascontiguousarray(shown).data)
            if mask is not None and some.mask is not None:
                mask.write(np.ascontiguousarray(some.mask).data)
            part.count(some)

        yield write
