"""A text column in pieces of about a mebibyte, for families that are computed by several kernels.

In: a text column. Out: its bytes and offsets, and ranges of texts.
Shown by: `python -m gristmill.text.chunks`.
Limit: a text of 2 GiB or more is refused.

Word hashes of one piece stay in cache between the kernel that makes them and the one that looks for
repetition; and kernels that do not call each other compile in less time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gristmill.errors import GristmillError
from gristmill.text.buffers import string_buffers

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]

PIECE = 1 << 20
LONGEST_TEXT = 2**31 - 1
_NOTHING = np.frombuffer(bytes(1), np.uint8)


def text_arrays(column: pa.Array | pa.ChunkedArray) -> tuple[Bytes, Offsets]:
    """`string_buffers`, with at least one byte of data, so that kernels see one type."""
    data, offsets = string_buffers(column)
    longest = int(np.diff(offsets).max(initial=0))
    if longest > LONGEST_TEXT:
        raise GristmillError(
            f"a text of {longest} bytes; signals take at most {LONGEST_TEXT}; "
            "drop or cut such texts first (max_doc_bytes)"
        )
    return (data if len(data) else _NOTHING), offsets


def chunks(offsets: Offsets) -> Iterator[tuple[int, int]]:
    """Ranges [low, high) of texts that together have up to PIECE bytes, or one text."""
    low, texts = 0, len(offsets) - 1
    while low < texts:
        high = int(np.searchsorted(offsets, offsets[low] + PIECE, side="right")) - 1
        high = min(max(high, low + 1), texts)
        yield low, high
        low = high


if __name__ == "__main__":
    lengths = np.array([0, 600_000, 600_000, 3_000_000, 10])
    print(list(chunks(np.concatenate([[0], np.cumsum(lengths)]))))
