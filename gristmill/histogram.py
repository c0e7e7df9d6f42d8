"""Histograms of a column: round bins that cover it, linear or logarithmic, counted by one scan.

In: a dataset and a column (a number, text by its length, a list by its items). Out: a `Histogram`.
Shown by: `gristmill page web/clean`.
Limit: a column is scanned twice, once for its range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gristmill.columns import measure
from gristmill.errors import StoreError
from gristmill.query import source
from gristmill.stats import rows_of
from gristmill.store import Dataset

_WIDE = 30  # a largest whole number so many times the smallest asks for a logarithmic axis
# Renard's R10 series: ten steps to a power of ten, about the same ratio each, all of them round.
_STEPS = (10, 12, 16, 20, 25, 32, 40, 50, 63, 80)


_LARGE = 2**62  # hashes beyond are counted as fractions


@dataclass(frozen=True, slots=True)
class Histogram:
    """`counts[i]` values from `edges[i]` up to, without, `edges[i + 1]`; whole numbers exactly so.

    A fraction that falls on an edge counts below it.
    """

    edges: list[float]
    counts: list[int]
    log: bool
    zeros: int  # numbers below the first edge: 0 where the axis is logarithmic
    values: int  # all that were numbers
    low: float
    high: float
    mean: float


def histogram(dataset: Dataset, column: str, bins: int = 40) -> Histogram | None:
    """The histogram of a column; None where it holds no number at all.

    Raises StoreError for columns that nothing can be measured of. `bins`: about how many to make.
    """
    number = measure(dataset, column)
    if number is None:
        raise StoreError(f"{dataset.name}: column {column!r} has no numbers to count in bins")
    (found,) = rows_of(
        dataset,
        f"select count(v) as n, min(v) as low, max(v) as high, avg(v) as mean, min(v) filter "
        f"(v > 0) as least from (select {number} as v from {source(dataset)})",
    )
    if not found["n"]:
        return None
    whole = isinstance(found["low"], int) and abs(found["high"]) < _LARGE
    low, high = float(found["low"]), float(found["high"])
    log = low >= 0 and found["least"] is not None and high > _WIDE * float(found["least"]) and whole
    edges = _powers(float(found["least"]), high) if log else _even(low, high, bins, whole)
    uppers = [edge - 1 for edge in edges] if whole else edges
    kind = "bigint" if whole else "double"
    listed = ", ".join(repr(int(edge) if whole else edge) for edge in uppers)
    (counted,) = rows_of(
        dataset,
        f"select histogram(cast({number} as {kind}), cast([{listed}] as {kind}[])) as bins "
        f"from {source(dataset)}",
    )
    by_edge = {float(edge): int(count) for edge, count in counted["bins"].items()}
    counts = [by_edge.get(float(edge), 0) for edge in uppers]
    below, counts = counts[0], counts[1:]
    if not log:  # a value on the first edge
        counts[0] += below
        below = 0
    return Histogram(edges, counts, log, below, int(found["n"]), low, high, float(found["mean"]))


def _powers(low: float, high: float) -> list[float]:
    """Round edges from at most `low` to above `high`, ten to a power of ten."""
    power = math.floor(math.log10(low))
    edges: list[float] = []
    while not edges or edges[-1] <= high:
        edges += [float(round(step * 10.0 ** (power - 1))) for step in _STEPS]
        power += 1
    edges = sorted(set(edges))
    first = max(n for n, edge in enumerate(edges) if edge <= low)
    last = min(n for n, edge in enumerate(edges) if edge > high)
    return edges[first : last + 1]


def _even(low: float, high: float, bins: int, whole: bool) -> list[float]:
    """Edges at multiples of 1, 2 or 5 times a power of ten, from at most `low` to above `high`."""
    step = _round_step((high - low) / bins)
    if whole:
        step = max(1.0, step)
    if not step:
        step = _round_step(abs(low) / bins) or 1.0
    first, last = math.floor(low / step), math.ceil(high / step)
    if last * step <= high and (whole or last == first):
        last += 1
    digits = max(0, 1 - math.floor(math.log10(step)))
    edges = sorted({round(n * step, digits) for n in range(first, last + 1)})
    return edges if len(edges) > 1 else [low, math.nextafter(high, math.inf)]


def _round_step(value: float) -> float:
    if value <= 0 or not math.isfinite(value):
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((m * power for m in (1, 2, 5) if m * power >= value * 0.9999), 10 * power)
