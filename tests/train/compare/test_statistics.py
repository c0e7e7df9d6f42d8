"""Verdicts: a planted difference is found, noise is called noise, and Holm keeps its word."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]

from train.compare.statistics import (
    NOISE,
    UNKNOWN,
    Metric,
    adjusted,
    compare,
)

LOSS = Metric("loss", "loss", "all", None, "lower")
SCORE = Metric("rows", "score", "all", None, "higher")
SIZE = Metric("diversity", "tokens", "all", None, "neither")


def seeds(*values: float) -> dict[str, float]:
    return {str(n): value for n, value in enumerate(values, 1)}


def test_a_planted_difference_is_found_by_pairs_that_means_would_hide() -> None:
    control = seeds(3.0, 3.5, 4.0)  # seeds differ more than arms do
    found = compare("clean", LOSS, seeds(2.90, 3.41, 3.89), control, 0.95)
    assert (found.verdict, found.pairs) == ("better", 3)
    apart = np.array([-0.10, -0.09, -0.11])
    low, high = stats.t.interval(0.95, 2, apart.mean(), stats.sem(apart))
    assert found.low == pytest.approx(low) and found.high == pytest.approx(high)
    assert found.p == pytest.approx(stats.ttest_1samp(apart, 0).pvalue)


def test_what_is_better_depends_on_the_metric() -> None:
    less, more = seeds(1.0, 1.01, 0.99), seeds(2.0, 2.01, 1.99)
    assert compare("a", LOSS, less, more, 0.95).verdict == "better"
    assert compare("a", SCORE, less, more, 0.95).verdict == "worse"
    assert compare("a", SIZE, less, more, 0.95).verdict == "lower"


def test_seeds_that_do_not_match_are_compared_by_means() -> None:
    ours = {"7": 1.0, "8": 1.1, "9": 0.9}
    theirs = {"1": 2.0, "2": 2.3, "3": 1.9}
    found = compare("a", LOSS, ours, theirs, 0.95)
    assert found.pairs is None
    welch = stats.ttest_ind(list(ours.values()), list(theirs.values()), equal_var=False)
    assert found.p == pytest.approx(welch.pvalue)
    interval = welch.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_one_seed_has_a_difference_and_no_verdict() -> None:
    found = compare("a", LOSS, seeds(1.0), seeds(2.0), 0.95)
    assert (found.difference, found.low, found.p, found.verdict) == (-1.0, None, None, UNKNOWN)


def test_equal_arms_are_within_noise() -> None:
    found = compare("a", LOSS, seeds(1.0, 2.0, 3.0), seeds(1.0, 2.0, 3.0), 0.95)
    assert (found.verdict, found.p) == (NOISE, 1.0)


def test_simulated_noise_is_called_noise_as_often_as_the_interval_says() -> None:
    random = np.random.default_rng(0)
    wrong = sum(
        compare("a", LOSS, seeds(*random.normal(3, 0.1, 3)), seeds(*random.normal(3, 0.1, 3)), 0.95)
        .verdict != NOISE
        for _ in range(1000)
    )  # fmt: skip
    assert 25 <= wrong <= 75  # 5%


def test_holm_keeps_false_verdicts_of_a_whole_report_rare() -> None:
    random, plain, held = np.random.default_rng(1), 0, 0
    for _ in range(150):
        found = [
            compare("a", Metric("t", str(n), "all", None, "lower"),
                    seeds(*random.normal(3, 0.1, 3)), seeds(*random.normal(3, 0.1, 3)), 0.95)
            for n in range(20)
        ]  # fmt: skip
        found = adjusted(found, 0.95)
        plain += any(one.verdict != NOISE for one in found)
        held += any(one.verdict_holm != NOISE for one in found)
    assert plain > 75  # about 64% of reports
    assert held <= 18  # about 5%


def test_holm_by_hand() -> None:
    control = seeds(1.0, 2.0, 3.0, 4.0)
    arms = [seeds(0.9, 1.91, 2.89, 3.9), seeds(0.9, 1.8, 3.0, 3.9), seeds(1.01, 2.0, 2.98, 4.02)]
    found = adjusted([compare("a", LOSS, arm, control, 0.95) for arm in arms], 0.95)
    p = [one.p or 0.0 for one in found]
    order = np.argsort(p)
    expected = np.maximum.accumulate([p[i] * (3 - rank) for rank, i in enumerate(order)])
    assert [found[i].p_holm for i in order] == pytest.approx(np.minimum(1, expected))
