"""Proxy runs as RegMix published them, from a law that is known: 17 domains, 13 losses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixtures.laws.loglinear import LogLinearLaw
from mixtures.weights.swarm import design

# a corpus with a few large and many small domains, as the Pile is
TOKENS = np.array([110, 40, 36, 35, 30, 25, 22, 20, 14, 12, 8, 7, 6, 4, 3, 2, 1.0]) * 1e9


@dataclass(frozen=True, slots=True)
class Planted:
    """Shares [runs, 17], losses [runs, 13] with noise, and the law behind them."""

    shares: np.ndarray
    losses: np.ndarray
    law: LogLinearLaw


def planted_runs(runs: int = 768, targets: int = 13, noise: float = 0.03, seed: int = 0) -> Planted:
    """Losses of 1M-parameter models: from 4 to 8 nats, and far lower with a little of one's own."""
    rng = np.random.default_rng(seed)
    sources = len(TOKENS)
    t = rng.normal(0, 0.3, (targets, sources)) + rng.uniform(0.5, 1.2, (targets, 1))
    t[np.arange(targets), np.arange(targets)] -= rng.uniform(4, 12, targets)
    law = LogLinearLaw(np.log(rng.uniform(2, 4, targets)), t)
    made = design(TOKENS, runs, max_epochs=15, budget=float(TOKENS.sum()), seed=seed)
    losses = law.loss(made.shares) + rng.normal(0, noise, (runs, targets))
    return Planted(made.shares, losses, law)
