"""Judged samples become what a loss needs: advantages, weights, and the log of a step.

In: the micro-batches of a step with the policy's log-probabilities, rewards [n]. Out: the same
batches with `advantages`, `weights` and `share`. Shown by: `python -m pytest tests/train/rl`.
Limit: all samples of a prompt lie in one micro-batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from train.losses.policy import (
    gae,
    group_advantages,
    leave_one_out,
    moments,
    penalised,
    token_rewards,
    token_weights,
    whitened,
)
from train.ranks import summed
from train.spec.losses.on_policy import OnPolicy
from train.spec.losses.policy import Grpo, Mdloo, PolicyLoss, Ppo, Rloo
from train.trainer import Batch


def weigh(
    spec: PolicyLoss | OnPolicy, batches: Sequence[Batch], longest: int, parts: int
) -> torch.Tensor:
    """Add `weights` and `share` to each batch; the tokens of the whole step, on all ranks."""
    tokens = summed(sum_of([batch["mask"].sum() for batch in batches]))
    rows = int(summed(torch.tensor(sum(len(b["mask"]) for b in batches)).to(tokens.device)))
    for batch in batches:
        mask = batch["mask"]
        if isinstance(spec, Rloo | Mdloo):
            batch["weights"] = mask.amax(dim=1) / rows
        else:
            how = spec.normalize if isinstance(spec, Grpo) else "dapo"
            batch["weights"] = token_weights(mask, how, longest, rows, tokens)
        batch["share"] = parts / tokens.clamp(min=1)
    return tokens


def add_advantages(
    spec: PolicyLoss, batches: Sequence[Batch], rewards: torch.Tensor, samples: int
) -> None:
    """Add `advantages` (and of ppo `returns`) to each batch."""
    parts = rewards.split([len(batch["mask"]) for batch in batches])
    if isinstance(spec, Ppo):
        _of_tokens(spec, batches, parts)
        return
    if isinstance(spec, Grpo):
        found = group_advantages(rewards, samples, spec.scale_rewards, summed)
        for batch, part in zip(batches, found.split([len(p) for p in parts]), strict=True):
            batch["advantages"] = part.float()[:, None].expand_as(batch["mask"]).contiguous()
        return
    for batch, part in zip(batches, parts, strict=True):
        if "reference" in batch:
            written = batch["written"]
            part = penalised(part, batch["old"], batch["reference"], written, spec.beta)
        batch["advantages"] = leave_one_out(part, samples).float()


def _of_tokens(spec: Ppo, batches: Sequence[Batch], rewards: Sequence[torch.Tensor]) -> None:
    for batch, part in zip(batches, rewards, strict=True):
        written = batch["written"]
        each = token_rewards(part, batch["old"], batch.get("reference"), written, spec.beta)
        batch["advantages"], batch["returns"] = gae(
            each, batch["values"], written, spec.gamma, spec.lam
        )
    if not spec.whiten:
        return
    flat = torch.cat([batch["advantages"].flatten() for batch in batches])
    mask = torch.cat([batch["mask"].flatten() for batch in batches])
    sizes = [batch["mask"].numel() for batch in batches]
    for batch, part in zip(batches, whitened(flat, mask, summed).split(sizes), strict=True):
        batch["advantages"] = part.view_as(batch["mask"])


def reward_log(
    rewards: torch.Tensor, total: torch.Tensor, names: Sequence[str], samples: int
) -> dict[str, torch.Tensor]:
    """Mean and standard deviation of each reward and of their sum; groups without a signal."""
    ones = torch.ones_like(total)
    found = {}
    columns = {"reward": total}
    if len(names) > 1:
        columns |= {f"reward.{name}": rewards[:, n] for n, name in enumerate(names)}
    for name, column in columns.items():
        mean, variance = moments(column, ones, summed)
        found[name], found[f"{name}_std"] = mean, variance.sqrt()
    groups = total.view(-1, samples)
    flat = (groups == groups[:, :1]).all(dim=1).double()
    found["no_signal"] = moments(flat, torch.ones_like(flat), summed)[0]
    return found


def sum_of(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Their sum."""
    return torch.stack(list(parts)).sum()
