"""All comparisons of a report: every arm with the control, on every metric that both have.

In: values by metric, arm and seed. Out: comparisons with Holm's correction, and what to be told.
Shown by: `use: compare`. Limit: a metric that the control lacks is left out, and said so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gristmill.errors import RecipeError
from train.compare.read import Runs
from train.compare.statistics import CONTROL, Comparison, adjusted, compare, described


def judged(runs: Runs, control: str, level: float) -> tuple[list[Comparison], list[str]]:
    """The control first, then the other arms, metric by metric; notes."""
    found: list[Comparison] = []
    notes = []
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
            found.append(compare(arm, what, by_arm[arm], by_arm[control], level))
    if not any(one.verdict != CONTROL for one in found):
        raise RecipeError(
            f"nothing to compare with {control!r}: the evaluations have the arms {runs.arms}; two "
            "arms measured by the same tasks are needed"
        )
    return adjusted(found, level), notes


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
