"""Vector primitives for kernels: classify 64 bytes into one bit mask, count and find its bits.

In: a uint8 array and a position inside a kernel. Out: uint64 masks; bit k stands for byte i + k.
Shown by: `python -m gristmill.text.simd`.
Limit: little-endian machines only (x86-64, arm64); the caller guards the end of the array.

A text kernel walks 64 bytes at a time: one mask a class of characters (letters, line feeds, ...),
then shifts and population counts in place of a loop over bytes. LLVM turns each mask into the
vector instructions of the machine that it compiles on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

WIDTH = 64
_BYTE = ir.IntType(8)
_WORD = ir.IntType(64)
_ZERO, _ONE, _ALL = np.uint64(0), np.uint64(1), np.uint64((1 << 64) - 1)
_LANES = ir.VectorType(_BYTE, WIDTH)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    view = context.make_array(array_type)(context, builder, array)
    return builder.gep(view.data, [index])


def _splat(builder: Any, byte: Any) -> Any:
    single = builder.insert_element(ir.Constant(_LANES, ir.Undefined), byte, _WORD(0))
    order = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(single, ir.Constant(_LANES, ir.Undefined), order)


@intrinsic
def byte_mask(typingctx, data, i, fold, low, count):  # type: ignore[no-untyped-def]
    """Which of data[i:i+64] lie in low..low+count-1 after OR with `fold` (0x20 folds ASCII case).

    uint64 mask. Reads 64 bytes: i + 64 <= len(data) is the caller's duty.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        lanes = builder.load(builder.bitcast(pointer, _LANES.as_pointer()))
        lanes.align = 1
        shifted = builder.sub(
            builder.or_(lanes, _splat(builder, args[2])), _splat(builder, args[3])
        )
        inside = builder.icmp_unsigned("<", shifted, _splat(builder, args[4]))
        return builder.bitcast(inside, _WORD)

    byte = types.uint8
    return types.uint64(data, types.int64, byte, byte, byte), codegen


@intrinsic
def load64(typingctx, data, i):  # type: ignore[no-untyped-def]
    """data[i:i+8] as one little-endian uint64; i + 8 <= len(data) is the caller's duty."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        word = builder.load(builder.bitcast(pointer, _WORD.as_pointer()))
        word.align = 1
        return word

    return types.uint64(data, types.int64), codegen


@intrinsic
def popcount(typingctx, mask):  # type: ignore[no-untyped-def]
    """How many bits of a uint64 are set (int64)."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


@intrinsic
def trailing_zeros(typingctx, mask):  # type: ignore[no-untyped-def]
    """Index of the lowest set bit of a uint64 (int64); 64 for an empty mask."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], cgutils.false_bit)

    return types.int64(types.uint64), codegen


@intrinsic
def leading_zeros(typingctx, mask):  # type: ignore[no-untyped-def]
    """63 minus the index of the highest set bit of a uint64 (int64); 64 for an empty mask."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], cgutils.false_bit)

    return types.int64(types.uint64), codegen


@njit(inline="always")
def low_bits(count):  # type: ignore[no-untyped-def]
    """A mask of the lowest `count` bits; 64 and more give all, 0 and less none."""
    if count >= 64:
        return _ALL
    if count <= 0:
        return _ZERO
    return (_ONE << np.uint64(count)) - _ONE


@njit(cache=True)
def _demonstrate(data):  # type: ignore[no-untyped-def]
    letters = byte_mask(data, 0, 0x20, 0x61, 26)
    return letters, popcount(letters), trailing_zeros(letters)


if __name__ == "__main__":
    line = b"42 mills grind ".ljust(WIDTH, b".")
    mask, count, first = _demonstrate(np.frombuffer(line, np.uint8))
    print(line.decode(), f"{mask:064b}"[::-1], f"{count} letters, the first at {first}", sep="\n")
