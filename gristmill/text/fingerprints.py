"""128-bit fingerprints of whole texts: of their bytes, or of their normalised words in order.

In: a text array. Out: uint64 [n, 2]; equal for equal texts, else different but for 2^-128.
Shown by: `python -m gristmill.text.fingerprints "One text." "one TEXT"`.
Limit: unkeyed and not cryptographic: for finding copies, not for proving anything.
"""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from gristmill.text.buffers import string_buffers
from gristmill.text.unicode import tables
from gristmill.text.words import K1, K2, K3, SEED, hash_bytes, words_block

_SEED, _K1, _K2, _K3 = (np.uint64(k) for k in (SEED, K1, K2, K3))
_S29, _S32 = np.uint64(29), np.uint64(32)
_BLOCK = 1024
_PIECE = 64  # bytes hashed at once where a text is taken as it stands


@njit(inline="always")
def _absorb(out, value):  # type: ignore[no-untyped-def]
    """Take one 64-bit value into both halves, which differ in how they mix."""
    h = (out[0] ^ value) * _K1
    out[0] = h ^ (h >> _S32)
    h = (out[1] + value) * _K2
    out[1] = (h ^ (h >> _S29)) * _K3


@njit(cache=True, nogil=True, boundscheck=False)
def _fingerprint(data, offsets, table, words_only, out):  # type: ignore[no-untyped-def]
    words = np.empty(_BLOCK, np.uint64)
    for doc in range(len(offsets) - 1):
        pos, end = offsets[doc], offsets[doc + 1]
        row = out[doc]
        row[0], row[1] = _SEED, _SEED
        total = 0
        while words_only and pos < end:
            found, pos = words_block(data, pos, end, table, words)
            for i in range(found):
                _absorb(row, words[i])
            total += found
        if total == 0:  # also for a text without words: "…" is not a copy of "?"
            for piece in range(offsets[doc], end, _PIECE):
                _absorb(row, hash_bytes(data, piece, min(piece + _PIECE, end)))
            total = end - offsets[doc]
        _absorb(row, np.uint64(total))


def text_fingerprints(
    array: pa.Array | pa.ChunkedArray, normalized: bool = False
) -> npt.NDArray[np.uint64]:
    """uint64 [n, 2] of each text's bytes; `normalized`: of its words, case and signs aside.

    A text without words is always taken byte by byte. A null counts as empty.
    """
    data, offsets = string_buffers(array)
    out = np.empty((len(offsets) - 1, 2), np.uint64)
    _fingerprint(data, offsets, tables(), normalized, out)
    return out


if __name__ == "__main__":
    for text, (high, low) in zip(
        sys.argv[1:], text_fingerprints(pa.array(sys.argv[1:]), True).tolist(), strict=True
    ):
        print(f"{high:016x}{low:016x} {text}")
