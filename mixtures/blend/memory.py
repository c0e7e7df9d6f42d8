"""Tokens and masks read in place by kernels of whole documents and pieces.

In: where documents begin in memory (`gristmill.mapped.Tokens.addresses`). Out: tokens, counts.
Shown by: `python -m pytest tests/mixtures/blend/test_order.py`. Limit: that a place is inside the
document is the caller's duty.
"""

from __future__ import annotations

import numpy as np
from numba import njit

import gristmill.text  # noqa: F401  # says where compiled kernels are kept
from mixtures.plan.addresses import load_u8, load_u16, load_u32


@njit(nogil=True, cache=True, boundscheck=False)
def copy_tokens(address, count, width, out):  # type: ignore[no-untyped-def]
    """The first tokens of a document into out[count], uint32; width: 2 or 4 bytes.

    Kernels work on the copy: with a load that branches on the width inside deeper loops, LLVM 20
    was seen to drop the whole loop.
    """
    if width == 2:
        for i in range(count):
            out[i] = load_u16(address + np.uint64(2 * i))
    else:
        for i in range(count):
            out[i] = load_u32(address + np.uint64(4 * i))


@njit(nogil=True, cache=True, boundscheck=False)
def count_zeros(addresses, offsets, lengths):  # type: ignore[no-untyped-def]
    """Zero bytes of pieces of masks: uint64[n], int32[n], int32[n] -> int64."""
    total = np.int64(0)
    for p in range(len(addresses)):
        first = addresses[p] + np.uint64(offsets[p])
        for i in range(lengths[p]):
            total += load_u8(first + np.uint64(i)) == 0
    return total


@njit(nogil=True, cache=True, boundscheck=False)
def rows_without_loss(pieces, lengths, offsets, addresses):  # type: ignore[no-untyped-def]
    """Rows none of whose tokens bears loss: the first of a piece never does, others by their mask.

    pieces int32[n] of each row; lengths, offsets int32[m] and addresses uint64[m] of their masks.
    """
    rows, piece = np.int64(0), 0
    for row in range(len(pieces)):
        found = False
        for p in range(piece, piece + pieces[row]):
            if found:
                break
            first = addresses[p] + np.uint64(offsets[p])
            for i in range(1, lengths[p]):
                if load_u8(first + np.uint64(i)):
                    found = True
                    break
        piece += pieces[row]
        rows += not found
    return rows
