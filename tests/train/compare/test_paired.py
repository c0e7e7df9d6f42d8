"""Over items: intervals cover what they say where hosts differ, and little is said of few items."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from train.compare.items import Key, Part, Parts
from train.compare.paired import OTHERS, OverItems, over_items

DRAWS = 300


def parts(over: Iterable[float], under: Iterable[float], hosts: Iterable[int | None]) -> Parts:
    return {
        Key(str(n), None, None): Part(a, b, None if host is None else f"{host}.org")
        for n, (a, b, host) in enumerate(zip(over, under, hosts, strict=True))
    }


def marks(*values: float) -> Parts:
    return parts(values, [1.0] * len(values), [None] * len(values))


def seen(ours: Parts, theirs: Parts) -> OverItems:
    found = over_items([ours], [theirs], 0.95)
    assert isinstance(found, OverItems)
    return found


def drawn(random: np.random.Generator, apart: float, known: bool = True) -> tuple[Parts, Parts]:
    """Pages of 30 hosts, of uneven number and size; an arm is good or bad at a whole host."""
    of = np.repeat(np.arange(30), random.poisson(random.lognormal(0.5, 1, 30)) + 1)
    sizes = random.lognormal(6, 1, len(of))
    base = 1 + random.normal(0, 0.3, 30)[of]
    change = apart + random.normal(0, 0.05, 30)[of] + random.normal(0, 0.05, len(of))
    hosts = [int(host) if known else None for host in of]
    return parts((base + change) * sizes, sizes, hosts), parts(base * sizes, sizes, hosts)


def missed(apart: float, known: bool) -> int:
    random = np.random.default_rng(5)
    found = [seen(*drawn(random, apart, known)) for _ in range(DRAWS)]
    return sum(not (one.low or 0) <= apart <= (one.high or 0) for one in found)


def test_intervals_cover_what_they_say_where_pages_of_a_host_are_alike() -> None:
    low, high = stats.binom.interval(0.998, DRAWS, 0.05)
    assert low <= missed(-0.02, known=True) <= high
    assert missed(-0.02, known=False) > 2 * high  # as if pages were independent


def test_a_planted_difference_is_found_and_equal_arms_are_not_told_apart() -> None:
    random = np.random.default_rng(6)
    assert all(seen(*drawn(random, -0.2)).p < 0.01 for _ in range(20))
    assert sum(seen(*drawn(random, 0.0)).p < 0.05 for _ in range(100)) <= 12


def test_items_of_one_size_without_hosts_are_a_paired_t() -> None:
    random = np.random.default_rng(7)
    ours, theirs = random.normal(0.5, 0.1, 40), random.normal(0.45, 0.1, 40)
    found, by = seen(marks(*ours), marks(*theirs)), stats.ttest_rel(ours, theirs)
    assert (found.difference, found.p) == pytest.approx((float((ours - theirs).mean()), by.pvalue))
    interval = by.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert (found.items, found.hosts) == (40, 40)


def test_means_of_several_runs_are_compared() -> None:
    runs = [marks(*np.random.default_rng(n).normal(0, 1, 30)) for n in range(4)]
    found = over_items(runs[:3], runs[3:], 0.95)
    means = [np.mean([part.over for part in run.values()]) for run in runs]
    assert isinstance(found, OverItems)
    assert found.difference == pytest.approx(np.mean(means[:3]) - means[3])


def test_a_large_host_leaves_little_to_say() -> None:
    over, hosts = np.tile([1.0, 1.0, 1.1, 1.1], 10), [n // 2 for n in range(40)]
    even, uneven = [1.0] * 40, [100.0, 100.0] + [1.0] * 38
    wide = seen(parts(np.multiply(over, uneven), uneven, hosts), parts(uneven, uneven, hosts))
    tight = seen(parts(over, even, hosts), parts(even, even, hosts))
    assert wide.high is not None and tight.high is not None
    assert wide.high - wide.difference > 3 * (tight.high - tight.difference)


@pytest.mark.parametrize("differ", [0, 1, 5])
def test_few_items_that_differ_are_within_noise_and_have_no_interval(differ: int) -> None:
    found = seen(marks(*[1.0] * differ, *[0.0] * (100 - differ)), marks(*[0.0] * 100))
    assert (found.low, found.high) == (None, None)
    assert found.p == pytest.approx(min(1.0, 2 ** (1 - differ))) and found.p > 0.05
    assert seen(marks(*[1.0] * 8, *[0.0] * 92), marks(*[0.0] * 100)).p < 0.05


def test_nothing_is_said_of_other_items_or_few_hosts() -> None:
    assert over_items([marks(1.0, 0.0)], [marks(1.0)], 0.95) == OTHERS
    assert over_items([marks(*[1.0] * 5)], [marks(*[0.0] * 5)], 0.95) == (
        "5 items of 5 hosts are too few"
    )
    empty = parts([1.0] * 9, [1.0, *[0.0] * 8], list(range(9)))
    assert over_items([empty], [empty], 0.95) == "9 items of 1 hosts are too few"
