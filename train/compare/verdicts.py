"""All comparisons of a report: every arm with the control, on every metric that both have.

In: values by metric, arm and seed. Out: comparisons with Holm's correction, and what to be told.
Shown by: `use: compare`. Limit: a metric that the control lacks is left out, and said so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gristmill.errors import RecipeError
from train.compare.items import Kept, Parts
from train.compare.paired import OverItems, over_items
from train.compare.read import Runs
from train.compare.statistics import (
    CONTROL,
    ITEMS,
    NOISE,
    SEEDS,
    Comparison,
    Metric,
    adjusted,
    common,
    compare,
    described,
    verdict,
)


def judged(runs: Runs, control: str, level: float) -> tuple[list[Comparison], list[str]]:
    """The control first, then the other arms, metric by metric; notes."""
    found: list[Comparison] = []
    notes, kept, unseen = list[str](), Kept(), dict[str, list[str]]()
    for what, by_arm in runs.values.items():
        if control not in by_arm:
            notes.append(f"{what.task}.{what.metric} of {what.source}: not measured of {control}")
            continue
        own = described(control, what, by_arm[control])
        found.append(replace(own, verdict=CONTROL, verdict_holm=CONTROL))
        for arm in runs.arms:
            if arm == control:
                continue
            if arm not in by_arm:
                notes.append(f"{what.task}.{what.metric} of {what.source}: not measured of {arm}")
                continue
            one = compare(arm, what, by_arm[arm], by_arm[control], level)
            seen = _of_items(runs, kept, what, arm, control, level)
            if isinstance(seen, OverItems):
                one = with_items(one, seen, level)
            elif one.noise != SEEDS:
                unseen.setdefault(seen, []).append(f"{arm} on {what.task}.{what.metric}")
            found.append(one)
    if not any(one.verdict != CONTROL for one in found):
        raise RecipeError(
            f"nothing to compare with {control!r}: the evaluations have the arms {runs.arms}; two "
            "arms measured by the same tasks are needed"
        )
    notes += [f"not known: {', '.join(dict.fromkeys(n))}: {why}" for why, n in unseen.items()]
    return adjusted(found, level), notes


def with_items(found: Comparison, seen: OverItems, level: float) -> Comparison:
    """With what the test's items say; they give the verdict only where seeds give none."""
    known = replace(
        found, items=seen.items, hosts=seen.hosts, items_low=seen.low, items_high=seen.high,
        items_p=seen.p,
    )  # fmt: skip
    if found.noise == SEEDS:
        return known
    word = f"{verdict(seen.difference, found.what.better)}: one seed"
    return replace(known, noise=ITEMS, verdict=word if seen.p < 1 - level else NOISE)


def _of_items(
    runs: Runs, kept: Kept, what: Metric, arm: str, control: str, level: float
) -> OverItems | str:
    """Over the items of those seeds whose means are compared."""
    by_arm = runs.values[what]
    both = common(by_arm[arm], by_arm[control])
    sides: dict[str, list[Parts]] = {arm: [], control: []}
    for name, side in sides.items():
        for seed in both if len(both) >= 2 else by_arm[name]:
            dataset, model = runs.found_in[what, name, seed]
            parts = kept.parts(dataset, model, what, by_arm[name][seed])
            if parts is None:
                return "evaluations keep no items that make up the score"
            side.append(parts)
    return over_items(sides[arm], sides[control], level, what.metric == "perplexity")


def hung_on_items(found: Sequence[Comparison], level: float) -> list[str]:
    """A note of verdicts over seeds that another draw of the test's items could turn."""
    named = [
        f"{one.arm} on {one.what.task}.{one.what.metric} of {one.what.source}"
        for one in found
        if one.noise == SEEDS and one.verdict != NOISE and (one.items_p or 0.0) >= 1 - level
    ]
    if not named:
        return []
    return [
        f"beyond the noise of seeds, but within that of the test's items: {', '.join(named)}; "
        "other items could turn these verdicts"
    ]


def few_seeds(found: Sequence[Comparison], few: int) -> list[str]:
    """A warning for arms of so few seeds that an interval says little."""
    fewest = {one.arm: one.n for one in found if one.n < few}
    if not fewest:
        return []
    named = ", ".join(f"{arm} {n}" for arm, n in fewest.items())
    return [
        f"fewer than {few} seeds ({named}): intervals are wide or missing, and verdicts are "
        f"not to be relied on; run {few} seeds or more of every arm"
    ]
