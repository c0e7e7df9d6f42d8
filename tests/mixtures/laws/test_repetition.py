"""Repetition: the published worth of epochs, and planted decays found again."""

from __future__ import annotations

import numpy as np
import pytest

from mixtures.laws.repetition import (
    C4,
    PARAMETER_DECAY,
    TOKEN_DECAY,
    RepetitionLaw,
    effective_parameters,
    effective_tokens,
    fit_repetition,
    worth_of_epoch,
)


@pytest.mark.parametrize(
    ("epochs", "worth"), [(1, 1.0), (2, 1.97), (4, 3.73), (8, 6.62), (16, 10.58), (40, 15.17)]
)
def test_the_known_worth_of_epochs(epochs: int, worth: float) -> None:
    assert effective_tokens(1.0, epochs) == pytest.approx(worth, abs=0.005)
    assert effective_tokens(25e9, 25e9 * epochs) == pytest.approx(25e9 * worth, rel=0.005)


def test_less_than_an_epoch_is_what_it_is() -> None:
    assert effective_tokens([100.0, 100.0, 0.0], [30.0, 100.0, 0.0]).tolist() == [30, 100, 0]
    assert effective_tokens(1.0, 1e9) == pytest.approx(1 + TOKEN_DECAY)
    assert worth_of_epoch([1, 1 + TOKEN_DECAY]) == pytest.approx([1, np.exp(-1)])


def test_parameters_beyond_what_the_tokens_ask_for_decay() -> None:
    # 20 tokens a parameter, near enough, with C4's law
    asked = 5e9
    assert effective_parameters(asked, 100e9) == pytest.approx(asked, rel=0.05)
    assert effective_parameters(1e9, 100e9) == 1e9
    assert effective_parameters(1e12, 1e9) < 0.4e9


def test_a_planted_law_is_found_again() -> None:
    planted = RepetitionLaw(TOKEN_DECAY, PARAMETER_DECAY, C4)
    n, u, epochs = (
        a.ravel() for a in np.meshgrid([1e8, 1e9, 9e9], [1e8, 1e9, 1e10], [1, 2, 4, 16, 60])
    )
    losses = planted.loss(n, u, u * epochs)
    found = fit_repetition(n, u, u * epochs, losses, C4)
    assert found.token_decay == pytest.approx(TOKEN_DECAY, rel=1e-3)
    assert found.parameter_decay == pytest.approx(PARAMETER_DECAY, rel=1e-3)
    noisy = losses * np.exp(np.random.default_rng(0).normal(0, 0.003, n.shape))
    found = fit_repetition(n, u, u * epochs, noisy, C4)
    assert found.token_decay == pytest.approx(TOKEN_DECAY, rel=0.15)
