"""Losses of preferences and rewards in float64 against their formulas, written anew in numpy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.extras import needs

needs("torch", "transformers")

import torch  # noqa: E402

from train.losses import preference, reward  # noqa: E402

DRAW = np.random.default_rng(7)
N = 64
CHOSEN, REJECTED = DRAW.normal(0, 5, N), DRAW.normal(0, 5, N)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.tensor(array, dtype=torch.float64) for array in arrays]


def same(found: torch.Tensor, expected: np.ndarray) -> None:
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_dpo(smoothing: float) -> None:
    win = sigmoid(0.3 * (CHOSEN - REJECTED))
    expected = -(1 - smoothing) * np.log(win) - smoothing * np.log(1 - win)
    same(preference.dpo(*tensors(CHOSEN, REJECTED), 0.3, smoothing), expected)


def test_dpo_of_equal_models_is_ln_2() -> None:
    zero = torch.zeros(3, dtype=torch.float64)
    same(preference.dpo(zero, zero, 0.1), np.full(3, np.log(2)))


def test_ipo_is_zero_at_its_margin() -> None:
    same(preference.ipo(*tensors(CHOSEN, REJECTED), 0.2), (CHOSEN - REJECTED - 2.5) ** 2)
    assert preference.ipo(torch.tensor(3.5), torch.tensor(1.0), 0.2) == 0


def test_kto() -> None:
    good = CHOSEN > 0
    z0 = 0.7
    value = np.where(good, sigmoid(0.1 * (CHOSEN - z0)), sigmoid(0.1 * (z0 - CHOSEN)))
    weight = np.where(good, 1.5, 0.8)
    (ratio,) = tensors(CHOSEN)
    found = preference.kto(
        ratio, torch.tensor(good), torch.tensor(z0, dtype=torch.float64), 0.1, 1.5, 0.8
    )
    same(found, weight * (1 - value))


def test_simpo() -> None:
    expected = -np.log(sigmoid(2.0 * CHOSEN - 2.0 * REJECTED - 1.4))
    same(preference.simpo(*tensors(CHOSEN, REJECTED), 2.0, 1.4), expected)


def test_orpo() -> None:
    chosen, rejected = -np.abs(CHOSEN) - 1e-3, -np.abs(REJECTED) - 1e-3
    odds = [np.exp(p) / (1 - np.exp(p)) for p in (chosen, rejected)]
    expected = -np.log(sigmoid(np.log(odds[0] / odds[1])))
    found = preference.orpo(*tensors(chosen, rejected))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


def test_rpo() -> None:
    margin = DRAW.normal(0, 2, N)
    implicit, given = sigmoid(0.2 * (CHOSEN - REJECTED)), sigmoid(3 * margin)

    def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))

    given_tensors = tensors(CHOSEN, REJECTED, margin)
    found = preference.rpo(*given_tensors, 0.2, 3.0, "backward_kl")
    np.testing.assert_allclose(found.numpy(), kl(given, implicit), rtol=1e-8, atol=1e-12)
    found = preference.rpo(*given_tensors, 0.2, 3.0, "forward_kl")
    np.testing.assert_allclose(found.numpy(), kl(implicit, given), rtol=1e-8, atol=1e-12)
    squared = (0.2 * (CHOSEN - REJECTED) - 3 * margin) ** 2
    same(preference.rpo(*given_tensors, 0.2, 3.0, "squared"), squared)


def test_rpo_is_zero_where_the_margins_are_equal() -> None:
    chosen, rejected = tensors(CHOSEN, REJECTED)
    found = preference.rpo(chosen, rejected, (chosen - rejected) / 30, 0.1, 3.0, "backward_kl")
    same(found, np.zeros(N))


def test_losses_are_finite_far_out() -> None:
    far = torch.tensor([-1e4, 1e4])
    for found in (
        preference.dpo(far, -far, 1.0),
        preference.simpo(far, -far, 1.0, 1.0),
        preference.orpo(torch.tensor([-1e-6, -1e3]), torch.tensor([-1e3, -1e-6])),
        preference.rpo(far, -far, far, 1.0, 1.0, "backward_kl"),
        reward.soft_label(far, -far, torch.tensor([0.9, 0.9])),
    ):
        assert torch.isfinite(found).all()


def test_bradley_terry_with_a_margin() -> None:
    margin = np.abs(DRAW.normal(0, 1, N))
    expected = -np.log(sigmoid(CHOSEN - REJECTED - margin))
    same(reward.bradley_terry(*tensors(CHOSEN, REJECTED, margin)), expected)


def test_a_ranking_is_the_mean_of_its_pairs() -> None:
    edited = DRAW.normal(0, 5, N)
    rewards = torch.tensor(np.stack([edited, CHOSEN, REJECTED], axis=1))
    there = torch.ones(N, 3, dtype=torch.bool)
    there[::2, 0] = False
    pair = -np.log(sigmoid(CHOSEN - REJECTED))
    three = (pair - np.log(sigmoid(edited - CHOSEN)) - np.log(sigmoid(edited - REJECTED))) / 3
    same(reward.ranked(rewards, there), np.where(np.arange(N) % 2 == 0, pair, three))


def test_soft_label_is_least_at_its_target() -> None:
    target = DRAW.uniform(0.5, 1, N)
    win = sigmoid(CHOSEN - REJECTED)
    expected = -target * np.log(win) - (1 - target) * np.log(1 - win)
    same(reward.soft_label(*tensors(CHOSEN, REJECTED, target)), expected)
    gap = torch.tensor(0.85).logit().requires_grad_()
    reward.soft_label(gap, torch.tensor(0.0), torch.tensor(0.85)).backward()
    assert gap.grad is not None and abs(gap.grad) < 1e-6


def test_grades_that_are_missing_cost_nothing() -> None:
    logits, grades = DRAW.normal(0, 1, (4, 3)), np.array([0, 2, np.nan, 1])
    logp = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = [-logp[0, 0], -logp[1, 2], 0, -logp[3, 1]]
    same(reward.grading(*tensors(logits, grades)), np.array(expected))


def test_attributes_are_a_mean_of_what_is_rated() -> None:
    predicted, rated = DRAW.normal(0, 1, (3, 4)), DRAW.integers(0, 5, (3, 4)).astype(float)
    rated[0, 1], rated[2] = np.nan, np.nan
    found = reward.attributes(*tensors(predicted, rated))
    expected = np.nanmean((predicted[:2] - rated[:2]) ** 2, axis=1)
    same(found, np.array([*expected, 0.0]))


def test_a_missing_value_leaves_no_gradient_that_is_no_number() -> None:
    predicted = torch.zeros(2, 2, requires_grad=True)
    rated = torch.tensor([[1.0, float("nan")], [float("nan"), float("nan")]])
    reward.attributes(predicted, rated).sum().backward()
    assert predicted.grad is not None and torch.isfinite(predicted.grad).all()
