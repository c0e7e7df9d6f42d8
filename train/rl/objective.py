"""From a batch of judged completions to a loss: what train.losses.policy has, put together.

In: a loss's options. Out: train.trainer.Objective over the batches of train.rl.batches.
Shown by: `python -m pytest tests/train/rl`. Limit: logits of a micro-batch are held whole.

Weights and advantages are of the whole step, so a micro-batch gives its part of one sum. A metric
is scaled by `parts` over the step's tokens: the mean over micro-batches is the mean over tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from train.losses.divergence import divergence
from train.losses.policy import (
    clipped,
    entropy,
    kl_k3,
    mirror_descent,
    token_logps,
    value_losses,
    writer_weights,
)
from train.rl.critic import Critic
from train.rl.forward import passed, targets
from train.spec.losses.on_policy import OnPolicy
from train.spec.losses.policy import Grpo, Mdloo, PolicyLoss, Ppo, Rloo
from train.trainer import Batch, Loss

Metrics = dict[str, float | torch.Tensor]


class PolicyObjective:
    """Called as train.trainer.Objective; all but `spec` is set by the stage."""

    def __init__(self, spec: PolicyLoss | OnPolicy) -> None:
        self.spec = spec
        self.temperature = 1.0
        self.cap: float | None = None  # of the weights of samples that another engine wrote
        self.critic: Critic | None = None
        self.teacher: Callable[[Batch, float], torch.Tensor] | None = None

    def __call__(self, model: Any, batch: Batch, counted: torch.Tensor | None) -> Loss:
        found = passed(model, batch, self.temperature, self.critic)
        mask, share, weights = batch["mask"], batch["share"], batch["weights"]

        def mean(values: torch.Tensor) -> torch.Tensor:
            return (values.detach() * mask).sum() * share

        with torch.no_grad():
            metrics: Metrics = {"entropy": mean(entropy(found.logits))}
        if isinstance(self.spec, OnPolicy):
            assert self.teacher is not None
            with torch.no_grad():
                theirs = self.teacher(batch, self.temperature)
            apart = divergence(found.logits, theirs, self.spec.beta)
            if "writer" in batch:
                with torch.no_grad():
                    logps = token_logps(found.logits, targets(batch))
                metrics["engine_gap"] = mean((logps - batch["writer"]).abs())
            return Loss((apart * weights).sum(), {**metrics, "divergence": mean(apart)})
        logps = token_logps(found.logits, targets(batch))
        old = batch["old"] if "old" in batch else logps.detach()
        if "writer" in batch:
            metrics["engine_gap"] = mean((old - batch["writer"]).abs())
        if "writer" in batch and self.cap is not None:
            rows = weights.dim() == 1
            trust, capped = writer_weights(old, batch["writer"], mask, self.cap, rows)
            weights = weights * (trust[:, 0] if rows else trust)
            metrics["capped"] = mean(capped.float().expand_as(mask))
        total, cut = _POLICIES[type(self.spec)](self.spec, logps, old, batch | {"weights": weights})
        if cut is not None:
            metrics["clipped"] = mean(cut.float().expand_as(mask))
        if "reference" in batch:
            apart = kl_k3(logps, batch["reference"])
            metrics["kl"] = mean(apart)
            if isinstance(self.spec, Grpo):
                # times the ratio, the term's gradient is that of the KL (DeepSeek-V3.2, 2025)
                apart = apart * ((logps - old) * mask).exp()
                total = total + self.spec.beta * (apart * weights).sum()
        if isinstance(self.spec, Ppo):
            assert found.values is not None
            losses = value_losses(
                found.values, batch["values"], batch["returns"], self.spec.epsilon_value
            )
            total = total + self.spec.value_weight * (losses * batch["weights"]).sum()
            metrics["value_loss"] = mean(losses)
        return Loss(total, {**metrics, **_of_step(batch)})


def _of_step(batch: Batch) -> Metrics:
    """What the rollout says of the whole step: every micro-batch brings the same."""
    return {name.removeprefix("log."): batch[name] for name in batch if name.startswith("log.")}


Part = tuple[torch.Tensor, torch.Tensor | None]


def _tokens(spec: Any, logps: torch.Tensor, old: torch.Tensor, batch: Batch) -> Part:
    """grpo and ppo: each token is an action."""
    ratios = ((logps - old) * batch["mask"]).exp()
    high = spec.epsilon if spec.epsilon_high is None else spec.epsilon_high
    losses, cut = clipped(ratios, batch["advantages"], spec.epsilon, high)
    return (losses * batch["weights"]).sum(), cut


def _rows(spec: Any, logps: torch.Tensor, old: torch.Tensor, batch: Batch) -> Part:
    """rloo: a completion is one action."""
    ratios = ((logps - old) * batch["mask"]).sum(dim=1).exp()
    high = spec.epsilon if spec.epsilon_high is None else spec.epsilon_high
    losses, cut = clipped(ratios, batch["advantages"], spec.epsilon, high)
    return (losses * batch["weights"]).sum(), cut[:, None]


def _mirror(spec: Any, logps: torch.Tensor, old: torch.Tensor, batch: Batch) -> Part:
    """mdloo."""
    losses, _ = mirror_descent(logps, old, batch["mask"], batch["advantages"], spec.eta)
    return (losses * batch["weights"]).sum(), None


_POLICIES: dict[type, Callable[[Any, torch.Tensor, torch.Tensor, Batch], Part]] = {
    Grpo: _tokens,
    Ppo: _tokens,
    Rloo: _rows,
    Mdloo: _mirror,
}


def policy_objective(spec: PolicyLoss) -> PolicyObjective:
    """Of grpo, rloo, mdloo, ppo."""
    return PolicyObjective(spec)


def on_policy_objective(spec: OnPolicy) -> PolicyObjective:
    """Of kd_on_policy."""
    return PolicyObjective(spec)
