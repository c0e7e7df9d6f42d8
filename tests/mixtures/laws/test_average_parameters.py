"""The average-parameter form: means over training, and one law for sparse and dense runs."""

from __future__ import annotations

import numpy as np
import pytest

from gristmill.errors import GristmillError
from mixtures.laws.average_parameters import (
    average_parameters,
    fit_average_parameters,
    parameters_through_training,
    pruned_average,
)
from mixtures.laws.chinchilla import CHINCHILLA


def test_means_over_training() -> None:
    assert average_parameters([4e8, 4e8], [0, 1e9]) == 4e8
    assert average_parameters([4e8, 4e8, 2e8, 2e8], [0, 25, 75, 100]) == pytest.approx(3e8)
    assert pruned_average(4e8, 2e8, 0.25, 0.75, power=1) == pytest.approx(3e8)
    assert pruned_average(4e8, 2e8, 0.5, 0.5) == pytest.approx(3e8)
    # the cubic schedule removes early: compare with its own curve
    part = np.linspace(0, 1, 20_001)
    ramp = np.clip((part - 0.25) / 0.5, 0, 1)
    size = 2e8 + 2e8 * (1 - ramp) ** 3
    assert pruned_average(4e8, 2e8) == pytest.approx(average_parameters(size, part), rel=1e-6)


def test_sparse_and_dense_runs_share_a_planted_law() -> None:
    rng = np.random.default_rng(0)
    dense = np.geomspace(5e7, 5e8, 8)
    averages = np.concatenate([[pruned_average(n, n * k) for k in (1.0, 0.5, 0.2)] for n in dense])
    n, d = np.repeat(averages, 5), np.tile(np.geomspace(1e9, 1e11, 5), len(averages))
    losses = CHINCHILLA.loss(n, d) * np.exp(rng.normal(0, 0.001, n.shape))
    found = fit_average_parameters(n, d, losses)
    assert found.alpha == pytest.approx(CHINCHILLA.alpha, rel=0.1)
    assert found.loss(1e9, 2e11) == pytest.approx(CHINCHILLA.loss(1e9, 2e11), rel=0.01)
    spoken = parameters_through_training(CHINCHILLA, CHINCHILLA.loss(n, d), d)
    assert np.allclose(spoken, n)


def test_mistakes_are_explained() -> None:
    with pytest.raises(GristmillError, match="in the order of training"):
        average_parameters([1, 2], [5, 1])
    with pytest.raises(GristmillError, match="parts of training in order"):
        pruned_average(1e9, 1e8, 0.8, 0.2)
    with pytest.raises(GristmillError, match="below what the law allows"):
        parameters_through_training(CHINCHILLA, [1.0], [1e9])
