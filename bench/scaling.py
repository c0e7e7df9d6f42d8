"""Claim: two workers do nearly what two independent one-worker runs side by side do.

In: the shared crawl and a copy of it with other words. Out: `.bench/results/scaling.json`.
Shown by: `python -m bench.scaling --size full`. Limit: both arrangements use both cores of a
two-core machine, so whatever else runs there hurts both.
"""

from __future__ import annotations

import time
from statistics import median

from bench import crawls
from bench.fineweb import recipe_side
from bench.harness import Claim, Measurement, Row, Side, SideProcess, main


def _timed(processes: list[SideProcess]) -> float:
    """Seconds until all of them are done, started together."""
    begin = time.perf_counter()
    for process in processes:
        process.ask()
    for process in processes:
        process.answer()
    return time.perf_counter() - begin


def claim(size: str, rounds: int) -> Claim:
    """One run with two workers, and two runs with one, in turns."""
    both = crawls.times(2)
    count = len(both) // 2 if size == "full" else 1
    # The second crawl is the first with other words: the same work for both.
    left, right = both[:count], both[len(both) // 2 :][:count]
    paths = left + right
    arrangements: dict[str, list[Side]] = {
        "one run, 2 workers": [recipe_side("one run, 2 workers", paths, workers=2)],
        "two runs, 1 worker": [
            recipe_side("two runs, left", left, pinned=False),
            recipe_side("two runs, right", right, pinned=False),
        ],
    }
    seen: dict[str, Measurement] = {}
    started: dict[str, list[SideProcess]] = {}
    try:
        for name, sides in arrangements.items():
            started[name] = [SideProcess(side, 0) for side in sides]
            first = _timed(started[name])
            seen[name] = Measurement(name, 0.0, 0.0, first, {}, "")
        for _ in range(rounds):
            for name, processes in started.items():
                seen[name].seconds.append(_timed(processes))
    finally:
        for processes in started.values():
            for process in processes:
                process.close()
    one, two = seen["one run, 2 workers"].seconds, seen["two runs, 1 worker"].seconds
    ratios = [b / a for a, b in zip(one, two, strict=True)]
    row = Row("2 workers / two one-worker runs", median(ratios), min(ratios), max(ratios))
    row.target = 0.9
    described = crawls.describe(paths)
    return Claim("scaling", "Two workers, FineWeb recipe", size, described, seen, [row])


if __name__ == "__main__":
    main(claim, __doc__)
