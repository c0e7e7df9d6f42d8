"""Policy losses against formulas written anew, in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.extras import needs

needs("torch", "transformers")

import torch  # noqa: E402

from train.losses import policy  # noqa: E402
from train.losses.divergence import divergence  # noqa: E402

N, T, V, SAMPLES = 12, 5, 7, 4


@pytest.fixture
def given() -> dict[str, Any]:
    """Log-probabilities, rewards and masks of three groups of four completions."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(1, T + 1, N)
    mask = (np.arange(T) < lengths[:, None]).astype(float)
    found = {name: -draw.gamma(2.0, 0.5, (N, T)) for name in ("logps", "old", "reference")}
    found |= {"rewards": draw.normal(size=N), "mask": mask, "values": draw.normal(size=(N, T))}
    found["advantages"] = draw.normal(size=N)
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in found.items()}


def near(found: torch.Tensor, wanted: Any) -> None:
    assert np.abs(found.detach().numpy() - np.asarray(wanted)).max() < 1e-9


def test_a_group_is_centred_and_divided_by_its_deviation(given: dict[str, Any]) -> None:
    rewards = given["rewards"].numpy()
    wanted, plain = [], []
    for start in range(0, N, SAMPLES):
        group = rewards[start : start + SAMPLES]
        plain += list(group - group.mean())
        wanted += list((group - group.mean()) / (group.std(ddof=1) + 1e-4))
    near(policy.group_advantages(given["rewards"], SAMPLES), wanted)
    near(policy.group_advantages(given["rewards"], SAMPLES, "none"), plain)
    whole = np.array(plain) / (rewards.std(ddof=1) + 1e-4)
    near(policy.group_advantages(given["rewards"], SAMPLES, "batch"), whole)


def test_equal_rewards_of_a_group_give_no_advantage() -> None:
    rewards = torch.full((4,), 0.7, dtype=torch.float64)
    assert policy.group_advantages(rewards, 4).abs().max() < 1e-9
    assert policy.leave_one_out(rewards, 4).abs().max() < 1e-9


def test_leave_one_out_compares_with_the_mean_of_the_others(given: dict[str, Any]) -> None:
    rewards = given["rewards"].numpy()
    wanted = []
    for n, reward in enumerate(rewards):
        start = n - n % SAMPLES
        others = [rewards[m] for m in range(start, start + SAMPLES) if m != n]
        wanted.append(reward - sum(others) / len(others))
    near(policy.leave_one_out(given["rewards"], SAMPLES), wanted)


def test_the_penalty_is_beta_times_the_log_ratio_of_the_completion(given: dict[str, Any]) -> None:
    g = given
    found = policy.penalised(g["rewards"], g["old"], g["reference"], g["mask"], 0.3)
    gap = (g["old"].numpy() - g["reference"].numpy()) * g["mask"].numpy()
    near(found, g["rewards"].numpy() - 0.3 * gap.sum(axis=1))


def test_token_rewards_sum_to_the_penalised_reward(given: dict[str, Any]) -> None:
    g = given
    found = policy.token_rewards(g["rewards"], g["old"], g["reference"], g["mask"], 0.3)
    whole = policy.penalised(g["rewards"], g["old"], g["reference"], g["mask"], 0.3)
    near(found.sum(dim=1), whole)
    bare = policy.token_rewards(g["rewards"], g["old"], None, g["mask"], 0.3)
    for n in range(N):
        last = int(g["mask"][n].sum()) - 1
        assert bare[n].tolist() == [float(g["rewards"][n]) if t == last else 0.0 for t in range(T)]


def test_advantages_are_discounted_sums_of_temporal_differences(given: dict[str, Any]) -> None:
    gamma, lam = 0.9, 0.8
    rewards, values, mask = (given[name].numpy() for name in ("old", "values", "mask"))
    wanted = np.zeros((N, T))
    for n in range(N):
        length = int(mask[n].sum())
        following = [*values[n, :length], 0.0]
        for t in range(length):
            for k in range(t, length):
                delta = rewards[n, k] + gamma * following[k + 1] - following[k]
                wanted[n, t] += (gamma * lam) ** (k - t) * delta
    found, returns = policy.gae(given["old"], given["values"], given["mask"], gamma, lam)
    near(found, wanted)
    near(returns, (wanted + values) * mask)


def test_advantages_do_not_see_a_prompt_of_any_length(given: dict[str, Any]) -> None:
    g = given
    plain, _ = policy.gae(g["old"], g["values"], g["mask"], 1.0, 0.95)
    behind = [torch.cat([torch.zeros(N, 3), g[name]], dim=1) for name in ("old", "values", "mask")]
    shifted, _ = policy.gae(behind[0], behind[1], behind[2], 1.0, 0.95)
    near(shifted[:, 3:], plain.numpy())


def test_whitened_has_mean_zero_and_variance_one(given: dict[str, Any]) -> None:
    found = policy.whitened(given["values"], given["mask"])[given["mask"] > 0].numpy()
    assert abs(found.mean()) < 1e-9 and abs(found.var(ddof=1) - 1) < 1e-6


def test_estimates_of_the_kl_are_the_kl_on_average() -> None:
    draw = torch.Generator().manual_seed(0)
    ours, theirs = (torch.randn(V, generator=draw, dtype=torch.float64) for _ in range(2))
    p, q = ours.log_softmax(0), theirs.log_softmax(0)
    exact = float((p.exp() * (p - q)).sum())
    assert math.isclose(float((p.exp() * policy.kl_k3(p, q)).sum()), exact, abs_tol=1e-12)
    assert bool((policy.kl_k3(p, q) >= 0).all())
    # mdloo's: samples of q stand for π_k, p for the policy that moved
    mask = torch.ones(V, 1, dtype=torch.float64)
    _, kl = policy.mirror_descent(p[:, None], q[:, None], mask, torch.zeros(V), 1.0)
    assert math.isclose(float((q.exp() * kl).sum()), exact, abs_tol=1e-12)
    assert bool((kl >= 0).all())


def test_mdloo_is_the_ratio_times_the_advantage_and_a_trust_region(given: dict[str, Any]) -> None:
    g, eta = given, 3.0
    found, _ = policy.mirror_descent(g["logps"], g["old"], g["mask"], g["advantages"], eta)
    wanted = []
    for n in range(N):
        gaps = [
            float(g["logps"][n, t] - g["old"][n, t]) for t in range(T) if float(g["mask"][n, t])
        ]
        kl = sum(math.exp(gap) * gap - math.exp(gap) + 1 for gap in gaps)
        wanted.append(-math.exp(sum(gaps)) * float(g["advantages"][n]) + kl / eta)
    near(found, wanted)


def test_mdloo_starts_as_the_plain_policy_gradient(given: dict[str, Any]) -> None:
    g = given
    logps = g["old"].clone().requires_grad_()
    losses, kl = policy.mirror_descent(logps, g["old"], g["mask"], g["advantages"], 1.0)
    losses.sum().backward()
    near(logps.grad, -(g["advantages"][:, None] * g["mask"]).numpy())
    assert float(kl.detach().abs().max()) == 0


def test_a_clipped_ratio_has_no_gradient_where_it_went_too_far() -> None:
    ratios = torch.tensor([0.5, 0.5, 1.5, 1.5, 1.1], dtype=torch.float64, requires_grad=True)
    advantages = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0], dtype=torch.float64)
    losses, cut = policy.clipped(ratios, advantages, 0.2, 0.3)
    assert losses.tolist() == [-0.5, 0.8, -1.3, 1.5, -1.1]
    assert cut.tolist() == [False, True, True, False, False]
    losses.sum().backward()
    assert ratios.grad.tolist() == [-1.0, 0.0, 0.0, 1.0, -1.0]


def test_values_are_kept_near_the_old_ones() -> None:
    values = torch.tensor([0.0, 1.0], dtype=torch.float64)
    found = policy.value_losses(values, torch.zeros(2), torch.tensor([1.0, 1.0]), 0.2)
    assert found.tolist() == pytest.approx([0.5, 0.5 * 0.8**2])


def test_weights_of_any_micro_batches_sum_up_to_those_of_the_step(given: dict[str, Any]) -> None:
    mask = given["mask"].clone()
    mask[3] = 0  # a row that is not learnt from
    losses, tokens = given["old"], mask.sum()
    lengths = mask.sum(dim=1).clamp(min=1)
    wanted = {
        "grpo": float(((losses * mask).sum(dim=1) / lengths).mean()),
        "dapo": float((losses * mask).sum() / tokens),
        "dr_grpo": float((losses * mask).sum() / (N * 9)),
    }
    for how, value in wanted.items():
        weights = [policy.token_weights(part, how, 9, N, tokens) for part in mask.split(5)]  # type: ignore[arg-type]
        assert math.isclose(float((torch.cat(weights) * losses).sum()), value, rel_tol=1e-12)


def test_divergence_has_both_kl_at_its_ends_and_jensen_shannon_between() -> None:
    draw = np.random.default_rng(1)
    student, teacher = draw.normal(size=(2, 3, V))
    s, t = (np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in (student, teacher))

    def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return np.asarray((p * np.log(p / q)).sum(-1))

    given = torch.tensor(student), torch.tensor(teacher)
    near(divergence(*given, 0.0), kl(t, s))
    near(divergence(*given, 1.0), kl(s, t))
    for beta in (0.1, 0.5, 0.9):
        mixed = beta * t + (1 - beta) * s
        near(divergence(*given, beta), beta * kl(t, mixed) + (1 - beta) * kl(s, mixed))


def test_log_probabilities_and_entropy_are_those_of_the_softmax() -> None:
    draw = np.random.default_rng(2)
    logits = draw.normal(size=(2, 3, V))
    ids = draw.integers(0, V, (2, 3))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    wanted = np.log(np.take_along_axis(p, ids[..., None], -1)[..., 0])
    near(policy.token_logps(torch.tensor(logits), torch.tensor(ids)), wanted)
    near(policy.entropy(torch.tensor(logits)), -(p * np.log(p)).sum(-1))
