"""Estimates against scipy, by hand, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from train.evaluate.intervals import bootstrap, mean, ratio, share


def test_a_mean_has_the_t_interval() -> None:
    values = np.random.default_rng(0).normal(2, 1, 20)
    found = mean(values)
    low, high = stats.t.interval(0.95, 19, values.mean(), stats.sem(values))
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low, high))


def test_a_share_has_wilsons_interval() -> None:
    for hits in (0, 3, 10):
        found = share(hits, 10)
        theirs = stats.binomtest(hits, 10).proportion_ci(method="wilson")
        assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_the_interval_of_a_ratio_holds_it_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        tokens = random.integers(5, 200, 60)
        nats = tokens * 3.0 + random.normal(0, 1, 60) * tokens**0.5 * 4
        found = ratio(nats, tokens)
        assert found.low is not None and found.high is not None
        held += found.low <= 3.0 <= found.high
    assert 0.90 <= held / 400 <= 0.99


def test_a_bootstrap_is_near_the_t_interval_and_repeats() -> None:
    values = np.random.default_rng(2).normal(0.5, 0.2, 200)
    first, second, exact = bootstrap(values, 7), bootstrap(values, 7), mean(values)
    assert first == second != bootstrap(values, 8)
    assert first.low == pytest.approx(exact.low, abs=0.005)
    assert first.high == pytest.approx(exact.high, abs=0.005)


def test_one_item_has_no_interval() -> None:
    for found in (mean([1.0]), ratio([2.0], [2]), bootstrap([1.0], 0)):
        assert (found.value, found.n, found.stderr, found.low) == (1.0, 1, None, None)
