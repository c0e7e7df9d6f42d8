"""The learning rate over a stage: how much of its peak a position has.

In: what the recipe says, the stage's length and a position, in tokens (or rows). Out: a number.
Shown by: `python -m train.loop.schedule '{shape: wsd, warmup: 0.05}' 1B`.
Limit: a step has one rate, that of the middle of its tokens.

The middle, because at a step's first token a warm-up is still at 0, and at its last one a decay to
0 is already there: either way a step would be spent on nothing.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from collections.abc import Callable

from gristmill.errors import RecipeError
from mixtures.blend.schedule import Position, amount, budget_tokens, position
from train.spec import Schedule

Curve = Callable[[float], float]
Knots = list[tuple[int, float]]


def multiplier(spec: Schedule, total: int, at: float) -> float:
    """The part of the peak at a position of a stage of `total` tokens (or rows)."""
    return curve(spec, total)(at)


def curve(spec: Schedule, total: int) -> Curve:
    """The same as a function of the position; RecipeError where the parts do not fit."""
    if spec.points:
        return _through(_knots(spec, total), spec.interp == "cosine")
    warmup = span(spec.warmup, total, "schedule.warmup")
    fall = span(spec.decay, total, "schedule.decay") if spec.shape == "wsd" else total - warmup
    if warmup + fall > total:
        raise RecipeError(
            f"schedule: warmup {warmup:,} and decay {fall:,} are more than the stage's {total:,}; "
            "shorten one of them"
        )
    end = 1.0 if spec.shape == "constant" else spec.end

    def of(at: float) -> float:
        if at < warmup:
            return at / warmup
        gone = (at - (total - fall)) / fall if fall else 1.0
        if gone <= 0:
            return 1.0
        part = min(gone, 1.0)
        if spec.shape == "cosine":
            part = (1 - math.cos(math.pi * part)) / 2
        return 1.0 + (end - 1.0) * part

    return of


def span(value: Position, total: int, key: str) -> int:
    """A length: a part of the stage, 1 for all of it, or an amount."""
    return total if amount(value, key) == 1 else position(value, total, key)


def _knots(spec: Schedule, total: int) -> Knots:
    keys = [f"schedule.points.{n}" for n in range(len(spec.points))]
    pairs = zip(spec.points, keys, strict=True)
    found = [(span(at, total, key), part) for (at, part), key in pairs]
    for n in range(1, len(found)):
        if found[n][0] <= found[n - 1][0]:
            raise RecipeError(
                f"{keys[n]} is at {spec.points[n][0]!r}, at or before the one above it: put the "
                "points in order"
            )
    return found


def _through(knots: Knots, smooth: bool) -> Curve:
    """Straight lines or half waves between the points; level before the first, past the last."""
    places = [at for at, _ in knots]

    def of(at: float) -> float:
        after = bisect_right(places, at)
        if after in (0, len(knots)):
            return knots[min(after, len(knots) - 1)][1]
        (start, low), (stop, high) = knots[after - 1], knots[after]
        part = (at - start) / (stop - start)
        if smooth:
            part = (1 - math.cos(math.pi * part)) / 2
        return low + (high - low) * part

    return of


def main() -> None:
    """Print the schedule in a hundred lines."""
    import yaml

    total = budget_tokens(sys.argv[2])
    of = curve(Schedule.model_validate(yaml.safe_load(sys.argv[1])), total)
    for n in range(101):
        part = of(total * n / 100)
        print(f"{n:3d}% {part:6.3f} {'#' * round(part * 60)}")


if __name__ == "__main__":
    main()
