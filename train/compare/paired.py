"""The difference of two arms over the items of their test: a jackknife that leaves out hosts.

In: parts of a metric's items, a mapping a run. Out: an interval, or why there is none.
Shown by: `use: compare` over one seed. Limit: it is the noise of the test's items, not of training.

Both arms lose the same host at once, so that what makes a host hard for both cancels out (Cameron
and Miller 2015, CV3). Where all hosts are alike it is the paired t. Freedom is that of Kish's
effective number of hosts: a test that is mostly one site has few, however many pages.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from train.compare.items import Parts

OTHERS = "arms were measured on different items"


@dataclass(frozen=True, slots=True)
class OverItems:
    """What the items of a test say of a difference; no interval where few of them differ."""

    difference: float
    low: float | None
    high: float | None
    p: float
    items: int
    hosts: int


def over_items(
    ours: Sequence[Parts], theirs: Sequence[Parts], level: float, exponential: bool = False
) -> OverItems | str:
    """The mean over our runs less that over theirs. `exponential`: of the metric's ratio."""
    runs, first = [*ours, *theirs], ours[0]
    if any(run.keys() != first.keys() for run in runs):
        return OTHERS
    places: dict[Hashable, int] = {}
    host = [places.setdefault(part.host or key, len(places)) for key, part in first.items()]
    sums = np.array(
        [
            [
                np.bincount(host, [getattr(run[key], side) for key in first])
                for side in ("over", "under")
            ]
            for run in runs
        ]
    )  # runs, over and under, hosts
    filled = int((sums[:, 1] > 0).all(0).sum())
    if not beyond(filled, level):
        return f"{len(first)} items of {filled} hosts are too few"
    signs = np.array([1 / len(ours)] * len(ours) + [-1 / len(theirs)] * len(theirs))

    def contrast(parts: np.ndarray) -> np.ndarray:
        ratio = parts[:, 0] / parts[:, 1]
        return np.asarray(signs @ (np.exp(np.minimum(ratio, 700)) if exponential else ratio))

    whole, hosts = sums.sum(-1, keepdims=True), len(places)
    difference = float(contrast(whole)[0])
    apart = contrast(whole - sums) - difference
    error = math.sqrt((hosts - 1) / hosts * float((apart**2).sum()))
    sizes = sums[:, 1].mean(0)
    freedom = max(1.0, float(sizes.sum() ** 2 / (sizes**2).sum()) - 1)
    mine, control = sums[: len(ours)].mean(0), sums[len(ours) :].mean(0)
    differing = int((~np.isclose(mine, control, rtol=1e-9, atol=0)).any(0).sum())
    p = float(2 * stats.t.sf(abs(difference) / error, freedom)) if error else float(not difference)
    p = min(1.0, max(p, _least(differing)))
    if not beyond(differing, level):
        return OverItems(difference, None, None, p, len(first), hosts)
    half = float(stats.t.ppf(0.5 + level / 2, freedom)) * error
    return OverItems(difference, difference - half, difference + half, p, len(first), hosts)


def beyond(hosts: int, level: float) -> bool:
    """Whether so many hosts that differ can show anything: six can, at 95%."""
    return _least(hosts) < 1 - level


def _least(hosts: int) -> float:
    """The p of a sign test whose signs all agree: no p of so many hosts is to be below it."""
    return 2.0 ** (1 - hosts)
