"""Blocks: the fixed order in which a segment of a mixture takes rows from its sources.

In: weights, or integer slots a source. Out: which source each slot takes, and the arithmetic that
answers "which row of which source is row i" without a table. Shown by: `python -c "from
mixtures.plan.block import arrange; print(arrange([2, 1, 1]))"`. Limit: 65,536 sources; shares are
multiples of 1/slots (a segment of up to SLOTS rows has as many slots, so it is exact to the row).

A segment repeats one block. Slot j takes the next row of source `order[j]`, so row i of the
segment is row `(i // slots) * counts[source] + ranks[j]` of that source in the segment, j = i %
slots. The order is Tijdeman's for the chairman assignment problem (R. Tijdeman, Discrete
Mathematics 32, 1980): of the sources that may be served without running ahead, the one whose
deadline comes first. No prefix is off its exact share by 1 - 1/(2k - 2) or more, of k sources.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit

import gristmill.text  # noqa: F401  # says where compiled kernels are kept
from gristmill.errors import RecipeError

SLOTS = 65_536  # of a block at most: a share is off by 1/131,072 at most
I64 = npt.NDArray[np.int64]
U16 = npt.NDArray[np.uint16]


def slots_for(rows: int) -> int:
    """Slots of the block of a segment of `rows` rows."""
    return min(rows, SLOTS)


def quantise(weights: Sequence[float] | npt.NDArray[np.float64], slots: int) -> I64:
    """Integer slots a source, by largest remainder: float64[k] -> int64[k], summing to `slots`.

    A weight above zero gets at least one slot where there are as many slots as such weights.
    """
    given = np.asarray(weights, np.float64)
    if given.ndim != 1 or not np.isfinite(given).all() or (given < 0).any() or not given.sum() > 0:
        raise RecipeError(
            f"weights {given.tolist()}: they must be numbers of 0 or more that do not all vanish"
        )
    if slots < 0:
        raise RecipeError(f"{slots} slots: a block has 0 or more")
    exact = given / given.sum() * slots
    counts = np.floor(exact).astype(np.int64)
    remainders = exact - counts
    order = np.lexsort((np.arange(len(given)), -remainders))  # the first of equals
    short = slots - int(counts.sum())
    counts[order[:short]] += 1
    missing = np.flatnonzero((counts == 0) & (given > 0))
    if len(missing) <= slots - int((counts > 0).sum()):
        for source in missing.tolist():
            # From the source that stands furthest above its share and can spare a slot.
            counts[np.argmax(np.where(counts > 1, counts - exact, -np.inf))] -= 1
            counts[source] = 1
    return counts


def arrange(counts: Sequence[int] | I64) -> U16:
    """The block's order: slots a source int64[k] -> source of each slot uint16[sum].

    Before every slot i, and at the end, source s has been taken `counts[s] / slots * i` times, give
    or take less than one.
    """
    given = np.asarray(counts, np.int64)
    if given.ndim != 1 or (given < 0).any():
        raise RecipeError(f"slots {given.tolist()}: a source has 0 or more of them")
    if len(given) > 1 << 16 or int(given.sum()) > SLOTS:
        raise RecipeError(
            f"{len(given):,} sources and {int(given.sum()):,} slots: "
            f"a block has at most {SLOTS:,} of each"
        )
    live = np.flatnonzero(given)
    return live[_arrange(given[live])].astype(np.uint16)


@njit(cache=True, nogil=True)
def _arrange(counts):  # type: ignore[no-untyped-def]
    """Positive counts [k] -> source of each slot. Exact: integers of 50 bits at most."""
    k, slots = len(counts), counts.sum()
    scale = max(2 * k - 2, 2)
    taken = np.zeros(k, np.int64)
    order = np.zeros(slots, np.int64)
    for i in range(slots):
        best, best_deadline = -1, np.int64(0)
        for s in range(k):
            # Due: counts[s] / slots * (i + 1) - taken[s] >= 1 / scale.
            if scale * (counts[s] * (i + 1) - slots * taken[s]) < slots:
                continue
            deadline = scale * (taken[s] + 1) - 1  # over counts[s]: the latest slot that will do
            if best < 0 or deadline * counts[best] < best_deadline * counts[s]:
                best, best_deadline = s, deadline
        order[i] = best
        taken[best] += 1
    return order


def ranks(order: U16) -> npt.NDArray[np.int32]:
    """How often each slot's source came before in the block: uint16[slots] -> int32[slots]."""
    if not len(order):
        return np.zeros(0, np.int32)
    by_source = np.argsort(order, kind="stable")
    sizes = np.bincount(order)
    out = np.empty(len(order), np.int32)
    out[by_source] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return out


def rows_of(order: U16, rows: int, sources: int | None = None) -> I64:
    """Rows of each source among the first `rows` of the repeated block: int64[k].

    `sources` is k where the last ones have no slot.
    """
    k = sources if sources is not None else int(order.max(initial=0)) + 1
    if not len(order):
        if rows:
            raise RecipeError(f"{rows:,} rows of a block without slots: give a source some weight")
        return np.zeros(k, np.int64)
    whole, rest = divmod(rows, len(order))
    full = np.bincount(order, minlength=k).astype(np.int64)
    return full * whole + np.bincount(order[:rest], minlength=k)
