"""Tokens and masks read in place by kernels of whole documents and pieces.

In: where documents begin in memory (`gristmill.mapped.Tokens.addresses`). Out: tokens, counts.
Shown by: `python -m pytest tests/mixtures/test_order.py`. Limit: that a place is inside the
document is the caller's duty.
"""

from __future__ import annotations

import numpy as np
from numba import njit

import gristmill.text  # noqa: F401  # says where compiled kernels are kept
from mixtures.addresses import load_u8, load_u16, load_u32


@njit(nogil=True, cache=True, boundscheck=False)
def load(address, index, width):  # type: ignore[no-untyped-def]
    """Token `index` of the document at an address, as uint64; width: 2 or 4 bytes."""
    place = address + np.uint64(index * width)
    return np.uint64(load_u16(place) if width == 2 else load_u32(place))


@njit(nogil=True, cache=True, boundscheck=False)
def count_zeros(addresses, offsets, lengths):  # type: ignore[no-untyped-def]
    """Zero bytes of pieces of masks: uint64[n], int32[n], int32[n] -> int64."""
    total = np.int64(0)
    for p in range(len(addresses)):
        first = addresses[p] + np.uint64(offsets[p])
        for i in range(lengths[p]):
            total += load_u8(first + np.uint64(i)) == 0
    return total
