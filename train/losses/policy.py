"""Policy gradients as pure functions: advantages, ratios, KL, and how tokens become one number.

In: tensors of samples, those of one prompt side by side: rewards [n], token values [n, t], masks
[n, t] (1: a token that the policy wrote). Out: advantages, losses a token [n, t], weights.
Shown by: `python -m pytest tests/train/losses/test_policy.py`.
Limit: an unbiased KL is an estimate from the sampled tokens; the whole distribution is not summed.

A loss is sum(weights * losses): `weights` divides by the rows or tokens of the whole step, so that
it is the same in any number of micro-batches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch

Total = Callable[[torch.Tensor], torch.Tensor]
Scale = Literal["group", "batch", "none"]
Normalize = Literal["grpo", "dapo", "dr_grpo"]
TINY = 1e-4  # added to a standard deviation, as TRL does


def here(part: torch.Tensor) -> torch.Tensor:
    """The sum over all ranks where there is one."""
    return part


def group_advantages(
    rewards: torch.Tensor, samples: int, scale: Scale = "group", total: Total = here
) -> torch.Tensor:
    """GRPO (Shao et al. 2024, arXiv:2402.03300, §4.1): reward less the group's mean, over its std.

    `none` leaves the std out (Dr. GRPO, Liu et al. 2025, arXiv:2503.20783); `batch` takes that of
    all rewards, which `total` adds up over ranks. The std has n - 1 below.
    """
    groups = rewards.view(-1, samples)
    centred = groups - groups.mean(dim=1, keepdim=True)
    if scale == "none":
        return centred.flatten()
    if scale == "group":
        std = groups.std(dim=1, keepdim=True)
    else:
        std = moments(rewards, torch.ones_like(rewards), total)[1].sqrt()
    return (centred / (std + TINY)).flatten()


def leave_one_out(rewards: torch.Tensor, samples: int) -> torch.Tensor:
    """RLOO (Ahmadian et al. 2024, arXiv:2402.14740): reward less the mean of the others'."""
    groups = rewards.view(-1, samples)
    others = (groups.sum(dim=1, keepdim=True) - groups) / (samples - 1)
    return (groups - others).flatten()


def penalised(
    rewards: torch.Tensor,
    logps: torch.Tensor,
    reference: torch.Tensor,
    mask: torch.Tensor,
    beta: float,
) -> torch.Tensor:
    """Reward less beta * log(π / π_ref) of the whole completion [n]; both as they were sampled."""
    return rewards - beta * ((logps - reference) * mask).sum(dim=1)


def token_rewards(
    rewards: torch.Tensor,
    logps: torch.Tensor,
    reference: torch.Tensor | None,
    mask: torch.Tensor,
    beta: float,
) -> torch.Tensor:
    """PPO's rewards a token [n, t] (Ouyang et al. 2022, arXiv:2203.02155): the KL penalty at each,
    the reward at the last."""
    found = torch.zeros_like(logps) if reference is None else -beta * (logps - reference) * mask
    places = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    last = (mask * places).argmax(dim=1)
    found[torch.arange(len(last), device=mask.device), last] += rewards.to(found.dtype)
    return found * mask


def gae(
    rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, gamma: float, lam: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Generalized advantage estimation (Schulman et al. 2015, arXiv:1506.02438).

    Advantages and returns [n, t]; after the last token the value is 0: the episode has ended.
    """
    values = values * mask
    found = torch.zeros_like(rewards)
    ahead = torch.zeros_like(rewards[:, 0])
    after = torch.zeros_like(ahead)
    for place in reversed(range(rewards.shape[1])):
        delta = rewards[:, place] + gamma * after - values[:, place]
        ahead = (delta + gamma * lam * ahead) * mask[:, place]
        found[:, place] = ahead
        after = values[:, place]
    return found, (found + values) * mask


def moments(
    values: torch.Tensor, mask: torch.Tensor, total: Total = here
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance (n - 1 below) over what the mask counts on all ranks."""
    count = total(mask.sum()).clamp(min=1)
    mean = total((values * mask).sum()) / count
    return mean, total(((values - mean).square() * mask).sum()) / (count - 1).clamp(min=1)


def whitened(values: torch.Tensor, mask: torch.Tensor, total: Total = here) -> torch.Tensor:
    """Mean 0 and variance 1 over the tokens of the mask."""
    mean, variance = moments(values, mask, total)
    return (values - mean) * torch.rsqrt(variance + 1e-8) * mask


def kl_k3(logps: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """KL(π || π_ref) a token, never below 0 (Schulman 2020, "k3"): r - log r - 1, r = π_ref / π.

    Times the importance ratio, its gradient too is the KL's (DeepSeek-V3.2, arXiv:2512.02556).
    """
    ratio = reference - logps
    return ratio.exp() - ratio - 1


def clipped(
    ratios: torch.Tensor, advantages: torch.Tensor, low: float, high: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """PPO's surrogate (Schulman et al. 2017, arXiv:1707.06347) and where it is clipped."""
    bound = ratios.clamp(1 - low, 1 + high)
    losses = -torch.minimum(ratios * advantages, bound * advantages)
    cut = ((ratios < 1 - low) & (advantages < 0)) | ((ratios > 1 + high) & (advantages > 0))
    return losses, cut


def mirror_descent(
    logps: torch.Tensor, old: torch.Tensor, mask: torch.Tensor, advantages: torch.Tensor, eta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """MDLOO a completion [n]: -ratio * A + KL(π || π_k) / eta, without a clip; and the KL.

    The step of mirror descent policy optimisation (Tomar et al. 2020, arXiv:2005.09814) with
    leave-one-out advantages, as in AFM (Gunter et al. 2024, arXiv:2407.21075). A completion is one
    action. KL is estimated a token from samples of π_k as r log r - r + 1 (r = π / π_k), which is
    never below 0 and has the KL as its mean; AFM does not print its estimator.
    """
    log_ratios = (logps - old) * mask
    ratios = log_ratios.exp()
    kl = ((ratios * log_ratios - ratios + 1) * mask).sum(dim=1)
    return -log_ratios.sum(dim=1).exp() * advantages + kl / eta, kl


def writer_weights(
    logps: torch.Tensor, writer: torch.Tensor, mask: torch.Tensor, cap: float, rows: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """min(π / μ, cap) of samples that μ drew, and where it is the cap [n, t]; π as it was then.

    Truncated importance sampling (Ionides 2008), for engines whose numbers are not quite those of
    the policy (Yao et al. 2025, "Your Efficient RL Framework Secretly Brings You Off-Policy RL
    Training"). `rows`: a completion is one action [n, 1], as of rloo and mdloo.
    """
    apart = (logps - writer) * mask
    ratios = (apart.sum(dim=1, keepdim=True) if rows else apart).exp()
    return ratios.clamp(max=cap), ratios > cap


def value_losses(
    values: torch.Tensor, old: torch.Tensor, returns: torch.Tensor, epsilon: float
) -> torch.Tensor:
    """PPO's value loss a token: half the larger of the squares, new values kept near the old."""
    near = old + (values - old).clamp(-epsilon, epsilon)
    return 0.5 * torch.maximum((values - returns).square(), (near - returns).square())


def token_weights(
    mask: torch.Tensor, how: Normalize, longest: int, rows: int, tokens: torch.Tensor
) -> torch.Tensor:
    """What each token [n, t] counts in a step of so many rows and tokens.

    Rows that are masked out still count as rows.

    grpo: the mean over rows of their means. dapo: the mean over tokens (Yu et al. 2025,
    arXiv:2503.14476). dr_grpo: over rows times `longest`, a constant (Liu et al. 2025).
    """
    if how == "grpo":
        return mask / mask.sum(dim=1, keepdim=True).clamp(min=1) / rows
    if how == "dapo":
        return mask / tokens.clamp(min=1)
    return mask / (rows * longest)


def token_logps(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Log-probability of each id [b, t] under logits [b, t, v]."""
    chosen = logits.gather(-1, ids[..., None])[..., 0]
    return chosen - logits.logsumexp(dim=-1)


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy in nats of each distribution [b, t]."""
    logps = logits.log_softmax(dim=-1)
    return -(logps.exp() * logps).sum(dim=-1)
