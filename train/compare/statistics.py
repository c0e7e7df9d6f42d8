"""Differences of arms against a control over seeds: paired where seeds match, t intervals, Holm.

In: values by arm and seed of one metric. Out: Comparison. Shown by: `use: compare`.
Limit: all arms share the proxy's size and budget; with one seed only the test's noise is seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from train.evaluate.results import Better

Seeds = Mapping[str, float]  # seed -> value
NOISE, CONTROL, UNKNOWN = "within noise", "control", "not known: one seed"
SEEDS, ITEMS = "seeds", "items"  # what a verdict's noise is of


@dataclass(frozen=True, slots=True)
class Metric:
    """What is compared."""

    task: str
    metric: str
    source: str
    length: int | None
    better: Better


@dataclass(frozen=True, slots=True)
class Comparison:
    """One arm on one metric."""

    arm: str
    what: Metric
    mean: float
    sd: float | None  # over seeds
    n: int  # seeds
    difference: float | None = None  # from the control's
    low: float | None = None
    high: float | None = None
    pairs: int | None = None  # seeds that both have; None: means were compared without pairs
    p: float | None = None
    p_holm: float | None = None
    items: int | None = None  # of the test, and its noise: never that of training
    hosts: int | None = None
    items_low: float | None = None
    items_high: float | None = None
    items_p: float | None = None
    noise: str | None = None  # what the verdict is beyond or within: of seeds, or of items
    verdict: str = ""
    verdict_holm: str = ""  # with all comparisons of the report in mind


def compare(arm: str, what: Metric, ours: Seeds, control: Seeds, level: float) -> Comparison:
    """An arm against the control. Paired t over the seeds that both have (two at least), else
    Welch's t over the means; without two values on either side there is no interval."""
    values = np.array(list(ours.values()), np.float64)
    made = described(arm, what, ours)
    both = common(ours, control)
    if len(both) >= 2:
        apart = np.array([ours[seed] - control[seed] for seed in both])
        error, freedom = float(apart.std(ddof=1)) / math.sqrt(len(both)), float(len(both) - 1)
        difference, pairs = float(apart.mean()), len(both)
    else:
        theirs = np.array(list(control.values()), np.float64)
        difference, pairs = float(values.mean() - theirs.mean()), None
        if len(values) < 2 or len(theirs) < 2:
            return replace(
                made, difference=difference, pairs=len(both) or None, verdict=UNKNOWN,
                verdict_holm=UNKNOWN,
            )  # fmt: skip
        parts = values.var(ddof=1) / len(values), theirs.var(ddof=1) / len(theirs)
        error = math.sqrt(sum(parts))
        lost = parts[0] ** 2 / (len(values) - 1) + parts[1] ** 2 / (len(theirs) - 1)
        freedom = float(sum(parts) ** 2 / lost) if lost else float(len(values) + len(theirs) - 2)
    half = float(stats.t.ppf(0.5 + level / 2, freedom)) * error
    low, high = difference - half, difference + half
    p = float(2 * stats.t.sf(abs(difference) / error, freedom)) if error else float(not difference)
    word = NOISE if low <= 0 <= high else verdict(difference, what.better)
    return replace(
        made, difference=difference, low=low, high=high, pairs=pairs, p=p, noise=SEEDS, verdict=word
    )


def common(ours: Seeds, control: Seeds) -> list[str]:
    """Seeds that both have: two or more are compared, and no other."""
    return [seed for seed in ours if seed in control]


def described(arm: str, what: Metric, seeds: Seeds) -> Comparison:
    """Mean and spread of an arm over its seeds."""
    values = np.array(list(seeds.values()), np.float64)
    sd = float(values.std(ddof=1)) if len(values) > 1 else None
    return Comparison(arm, what, float(values.mean()), sd, len(values))


def verdict(difference: float, better: Better) -> str:
    """What a difference beyond noise means."""
    if better == "neither":
        return "higher" if difference > 0 else "lower"
    return "better" if (difference > 0) == (better == "higher") else "worse"


def adjusted(found: Sequence[Comparison], level: float) -> list[Comparison]:
    """With Holm's p (1979): the chance of any false verdict in the whole report stays below
    1 - level."""
    every = ((one.items_p if one.noise == ITEMS else one.p) for one in found)
    tested = sorted((p, place) for place, p in enumerate(every) if p is not None)
    out, worst = list(found), 0.0
    for rank, (p, place) in enumerate(tested):
        worst = max(worst, min(1.0, p * (len(tested) - rank)))
        one = out[place]
        word = one.verdict if worst < 1 - level else NOISE
        out[place] = replace(one, p_holm=worst, verdict_holm=word)
    return out
