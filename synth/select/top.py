"""Select top: the best share of all rows of a step, by an exact cut.

In: scores of all items, shard by shard. Out: the cut, and which items are above it.
Shown by: `gristmill run pipelines/recipes/synth/rewire.yaml`.
Limit: the step writes candidates first and selects when all are there; until then none is final.

REWIRE (2025, arXiv:2506.04689) keeps the best 10 % of all rewritten documents this way. Memory is
bounded: a histogram of the first 16 bits of all scores, in their order as floats, finds the bin
that holds the cut; a second pass gathers that bin, or, where it is large, counts the next 16 bits.
Of equal scores at the cut those with the lower hash of their id are taken: the number is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from synth.items import Item, Row
from synth.ops import SynthOp, register_op
from synth.values import number_of

F64 = npt.NDArray[np.float64]
U64 = npt.NDArray[np.uint64]
Shards = Sequence[tuple[F64, pa.Array]]  # scores and ids; read anew in every pass
_BITS = 16
GATHERED = 1 << 22  # values held at once: 32 MB
_SIGN = np.uint64(1 << 63)


@register_op("select.top")
class Top(SynthOp):
    """The best `fraction` or `count` of all items by a field. Must stand last, before `emit`."""

    by: str
    fraction: float | None = Field(None, gt=0, le=1)  # rounded up to whole items
    count: int | None = Field(None, ge=1)
    lowest: bool = False  # the lowest values are the best

    @model_validator(mode="after")
    def _one(self) -> Top:
        if (self.fraction is None) == (self.count is None):
            raise ValueError("top takes `fraction` or `count`, one of them")
        return self

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        """Items with a score; which of them are among the best is known when all rows are done."""
        return [i for i in items if number_of(i, self.by, row, self.NAME) is not None]


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the best end: scores better than `score`, and of equal ones those up to `last`."""

    score: float
    last: tuple[int, str]  # hash and id of the last one taken of those that have `score`
    kept: int  # how many are chosen
    lowest: bool


def threshold(
    shards: Shards, fraction: float | None = None, count: int | None = None, lowest: bool = False
) -> Cut | None:
    """The exact cut over all shards; None where there is no score. NaN is no score."""
    total = sum(int(np.count_nonzero(~np.isnan(scores))) for scores, _ in shards)
    wanted = count if fraction is None else ceil(Fraction(str(fraction)) * total)
    wanted = min(wanted or 0, total)
    if not wanted:
        return None

    def ranks() -> Iterable[U64]:
        for scores, _ in shards:
            yield ranked(scores[~np.isnan(scores)], lowest)

    rank, before = kth(ranks, wanted)
    ties = wanted - before

    def hashes() -> Iterable[U64]:
        for scores, ids in shards:
            yield id_hashes(ids.filter(_at(scores, rank, lowest)))

    last, before = kth(hashes, ties)
    same: list[str] = []  # ids of one hash: one, but for 2^-64
    for scores, ids in shards:
        equal = ids.filter(_at(scores, rank, lowest))
        same += equal.filter(pa.array(id_hashes(equal) == last)).to_pylist()
    name = sorted(same)[ties - before - 1]
    return Cut(score_of(rank, lowest), (int(last), name), wanted, lowest)


def chosen(scores: F64, ids: pa.Array, cut: Cut) -> npt.NDArray[np.bool_]:
    """Which items of a shard are among the best."""
    rank = ranked(np.array([cut.score]), cut.lowest)[0]
    valid = ~np.isnan(scores)
    mask = valid & (ranked(scores, cut.lowest) < rank)
    ties = np.flatnonzero(valid & (ranked(scores, cut.lowest) == rank))
    equal = ids.take(pa.array(ties))
    hashes, (last, name) = id_hashes(equal), cut.last
    mask[ties] = hashes < np.uint64(last)
    for at in np.flatnonzero(hashes == np.uint64(last)).tolist():
        mask[ties[at]] = equal[at].as_py() <= name
    return mask


def ranked(scores: F64, lowest: bool) -> U64:
    """Scores as integers in their order, the best first; -0.0 counts as 0.0."""
    bits = (np.asarray(scores, np.float64) + 0.0).view(np.uint64)
    ascending = np.where(bits & _SIGN != 0, ~bits, bits | _SIGN)
    return ascending if lowest else ~ascending


def score_of(rank: np.uint64, lowest: bool) -> float:
    """The score of a rank."""
    ascending = np.array([rank if lowest else ~rank], np.uint64)
    bits = np.where(ascending & _SIGN != 0, ascending ^ _SIGN, ~ascending)
    return float(bits.view(np.float64)[0])


def kth(values: Callable[[], Iterable[U64]], number: int) -> tuple[np.uint64, int]:
    """The `number`-th smallest value (from 1), and how many are smaller. `values` is one pass."""
    prefix, before = 0, 0
    for shift in range(64 - _BITS, -1, -_BITS):
        counts = np.zeros(1 << _BITS, np.int64)
        low, high = prefix << (shift + _BITS), ((prefix + 1) << (shift + _BITS)) - 1
        for block in values():
            inside = block[(block >= np.uint64(low)) & (block <= np.uint64(high))]
            part = (inside >> np.uint64(shift)) & np.uint64((1 << _BITS) - 1)
            counts += np.bincount(part.astype(np.int64), minlength=len(counts))
        ends = np.cumsum(counts)
        bin_ = int(np.searchsorted(ends, number - before))
        size = int(counts[bin_])
        before += int(ends[bin_]) - size
        prefix = prefix << _BITS | bin_
        if size <= GATHERED and shift:
            low, high = prefix << shift, ((prefix + 1) << shift) - 1
            blocks = [b[(b >= np.uint64(low)) & (b <= np.uint64(high))] for b in values()]
            gathered = np.sort(np.concatenate(blocks))
            value = gathered[number - before - 1]
            return value, before + int(np.searchsorted(gathered, value))
    return np.uint64(prefix), before


def _at(scores: F64, rank: np.uint64, lowest: bool) -> pa.Array:
    return pa.array(~np.isnan(scores) & (ranked(scores, lowest) == rank))


def id_hashes(ids: pa.Array) -> U64:
    """What decides between equal scores."""
    # here: what compiles it is a third of a start-up, and few flows cut
    from gristmill.text.fingerprints import text_fingerprints

    return text_fingerprints(ids)[:, 0]
