"""The log-linear law: planted laws found again, held-out ranks, designs that are refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from gristmill.errors import GristmillError
from mixtures.laws.fitting import spearman
from mixtures.laws.loglinear import (
    LogLinearLaw,
    check_design,
    fit_loglinear,
    held_out,
    straight_line,
)
from tests.mixtures.planted import Planted, planted_runs


@pytest.fixture(scope="module")
def runs() -> Planted:
    return planted_runs()


def mean_spearman(observed: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.mean([spearman(a, b) for a, b in zip(observed.T, predicted.T, strict=True)]))


def test_a_law_of_regmix_shape_is_recovered_and_beats_a_straight_line(runs: Planted) -> None:
    train, test = slice(0, 512), slice(512, 768)
    law = fit_loglinear(runs.shares[train], runs.losses[train])
    predicted = mean_spearman(runs.losses[test], law.loss(runs.shares[test]))
    line = runs.shares[test] @ straight_line(runs.shares[train], runs.losses[train])
    assert predicted >= 0.97
    assert predicted >= mean_spearman(runs.losses[test], line) + 0.05
    assert np.abs(law.c - runs.law.c).max() < 0.05
    assert np.abs(law.loss(runs.shares) - runs.law.loss(runs.shares)).mean() < 0.01


def test_without_noise_the_law_is_exact() -> None:
    planted = planted_runs(60, 3, noise=0.0)
    law = fit_loglinear(planted.shares, planted.losses)
    assert np.allclose(law.c, planted.law.c, atol=1e-4)
    assert np.allclose(law.t, planted.law.t, atol=2e-2)


def test_held_out_ranks_are_honest(runs: Planted) -> None:
    some = slice(0, 128)
    seen = held_out(runs.shares[some], runs.losses[some], seed=3)
    assert sorted(set(seen.fold.tolist())) == [0, 1, 2, 3, 4]
    assert seen.spearman.mean() > 0.95 and seen.spearman.mean() > seen.ols_spearman.mean()
    again = held_out(runs.shares[some], runs.losses[some], seed=3)
    assert (again.law == seen.law).all()
    nothing = np.random.default_rng(0).uniform(3, 4, (128, 2))
    assert np.abs(held_out(runs.shares[some], nothing).spearman).max() < 0.35


def test_few_runs_make_more_folds_and_none_to_spare_make_none(runs: Planted) -> None:
    seen = held_out(runs.shares[:20], runs.losses[:20, :2])
    assert seen.fold.max() == 9  # 18 parameters: two runs can be spared at a time
    seen = held_out(runs.shares[:18], runs.losses[:18, :2])
    assert np.isnan(seen.spearman).all() and np.isnan(seen.law).all()


def test_an_outlier_does_not_carry_the_fit(runs: Planted) -> None:
    losses = runs.losses[:200, :2].copy()
    losses[::50] += 3
    law = fit_loglinear(runs.shares[:200], losses)
    assert np.abs(law.c - runs.law.c[:2]).max() < 0.05


def test_sources_that_no_run_had_stay_out(runs: Planted) -> None:
    shares = runs.shares[:120].copy()
    shares[:, 16] = 0
    shares /= shares.sum(axis=1, keepdims=True)
    law = fit_loglinear(shares, runs.law.loss(shares))
    assert (law.t[:, 16] == 0).all() and (law.t[:, :16] != 0).all()


def test_underdetermined_designs_are_refused(runs: Planted) -> None:
    says = r"17 runs for 17 live domains need at least 18; no override .*54 are advised"
    with pytest.raises(GristmillError, match=says):
        fit_loglinear(runs.shares[:17], runs.losses[:17])
    with pytest.raises(GristmillError, match="17 runs for 17 live domains"):
        fit_loglinear(
            np.repeat(runs.shares[:17], 9, axis=0), np.repeat(runs.losses[:17], 9, axis=0)
        )
    assert "54 are advised" in str(check_design(runs.shares[:30]))
    assert check_design(runs.shares[:54]) is None


def test_sources_that_always_move_together_are_named() -> None:
    rng = np.random.default_rng(0)
    free = rng.dirichlet(np.ones(3), 40)
    shares = np.column_stack((free[:, 0], free[:, 1], free[:, 2] / 2, free[:, 2] / 2))
    with pytest.raises(GristmillError, match="3 directions only; c, d always move together"):
        check_design(shares, ["a", "b", "c", "d"])


@pytest.mark.parametrize(
    ("shares", "losses", "says"),
    [
        ([[0.5, 0.5]] * 9, [[-1.0]] * 9, "a loss is -1.0.*error rate"),
        ([[0.5, 0.5]] * 9, [[np.nan]] * 9, "a loss is nan"),
        ([[0.5, 0.4]] * 9, [[1.0]] * 9, "sum to 1"),
        ([[0.5, 0.5]] * 9, [[1.0]] * 8, "a row a run"),
    ],
)
def test_what_cannot_be_fitted(shares: object, losses: object, says: str) -> None:
    with pytest.raises(GristmillError, match=says):
        fit_loglinear(shares, losses)  # type: ignore[arg-type]


def test_one_mixture_gives_one_loss_a_target() -> None:
    law = LogLinearLaw(np.log([2.0, 3.0]), np.zeros((2, 4)))
    assert law.loss([0.25] * 4).tolist() == pytest.approx([3.0, 4.0])


def test_rank_correlation_is_scipys() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.integers(0, 9, 50), rng.normal(size=50)
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert np.isnan(spearman([1, 1, 1], [1, 2, 3]))
