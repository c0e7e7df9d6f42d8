"""Reads of mapped tokens inside kernels, by memory address.

In: the address of a document's first token (`gristmill.mapped.Tokens.addresses`) and a place.
Out: the token. Shown by: `python -m pytest tests/mixtures/test_memory.py`.
Limit: little-endian machines; that the place is inside the document is the caller's duty.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

import gristmill.text  # noqa: F401  # says where compiled kernels are kept

_WORD = ir.IntType(64)


def _loader(bits: int) -> Any:
    @intrinsic
    def load_bits(typingctx, address, index):  # type: ignore[no-untyped-def]
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = ir.IntType(bits)
            pointer = builder.gep(builder.inttoptr(args[0], kind.as_pointer()), [args[1]])
            value = builder.load(pointer)
            value.align = 1
            return builder.zext(value, _WORD) if bits < 64 else value

        return types.uint64(types.uint64, types.int64), codegen

    return load_bits


load8, load16, load32 = _loader(8), _loader(16), _loader(32)


@njit(nogil=True, cache=True, boundscheck=False)
def load(address, index, width):  # type: ignore[no-untyped-def]
    """Token `index` of the document at an address, as uint64; width: 2 or 4 bytes."""
    return load16(address, index) if width == 2 else load32(address, index)


@njit(nogil=True, cache=True, boundscheck=False)
def count_zeros(addresses, offsets, lengths):  # type: ignore[no-untyped-def]
    """Zero bytes of pieces of masks: uint64[n], int32[n], int32[n] -> int64."""
    total = np.int64(0)
    for p in range(len(addresses)):
        for i in range(offsets[p], offsets[p] + lengths[p]):
            total += load8(addresses[p], i) == np.uint64(0)
    return total
