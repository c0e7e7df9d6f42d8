"""Fits of mixing laws on planted runs, and solvers on the laws fitted.

In: numbers of runs. Out: seconds, rank correlations of runs not seen, weights.
Shown by: `python -m bench.law_fit`. Limit: the law behind the runs is of the form that is fitted;
RegMix's own tables are measured where a user gives them (`mixture_fit`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.worker import Job
from mixtures.laws.fitting import spearman
from mixtures.laws.loglinear import fit_loglinear, held_out, straight_line
from mixtures.weights.solver import epoch_caps, project, solve_mixture
from tests.mixtures.planted import TOKENS, planted_runs

TEST = 256


def _mean_spearman(observed: np.ndarray, predicted: np.ndarray) -> float:
    pairs = zip(observed.T, predicted.T, strict=True)
    return round(float(np.mean([spearman(a, b) for a, b in pairs])), 4)


def open_fit(runs: int = 512) -> Job:
    """All laws from `runs` runs; 256 others are predicted."""
    planted = planted_runs(runs + TEST)
    shares, losses = planted.shares[:runs], planted.losses[:runs]
    others, truth = planted.shares[runs:], planted.losses[runs:]
    smaller = {}  # rank correlation from fewer runs: 1 to 7 times (domains + 1); fitted once
    for size in (18, 27, 36, 54, 128):
        law = fit_loglinear(shares[:size], losses[:size])
        smaller[str(size)] = _mean_spearman(truth, law.loss(others))

    def run() -> dict[str, Any]:
        law = fit_loglinear(shares, losses)
        return {
            "spearman": _mean_spearman(truth, law.loss(others)),
            "ols": _mean_spearman(truth, others @ straight_line(shares, losses)),
            "smaller": smaller,
        }

    return Job(run=run, packages=["scipy"])


def open_held_out(runs: int = 512) -> Job:
    """Five folds of all laws, and of a straight line."""
    planted = planted_runs(runs)

    def run() -> dict[str, Any]:
        seen = held_out(planted.shares, planted.losses)
        return {"spearman": round(float(seen.spearman.mean()), 4)}

    return Job(run=run, packages=["scipy"])


def open_solver(way: str = "ours") -> Job:
    """The best mixture under one planted law, 4 epochs at most."""
    law = planted_runs(64).law
    natural = TOKENS / TOKENS.sum()
    caps = epoch_caps(TOKENS, float(TOKENS.sum()) / 2, 4)

    def value(x: np.ndarray) -> float:
        return float(np.exp(law.t @ x).mean() + 0.05 * np.sum(x * np.log(x / natural)))

    def slope(x: np.ndarray) -> np.ndarray:
        rise = np.exp(law.t @ x)[:, None] * law.t
        return np.asarray(rise.mean(axis=0) + 0.05 * (np.log(x / natural) + 1))

    def run() -> dict[str, Any]:
        if way == "ours":
            weights = solve_mixture(law.t, natural, caps).weights
        else:
            from scipy.optimize import minimize

            x = project(natural, caps)
            for _ in range(4):  # again from where it stopped, which is often too early
                x = minimize(
                    value, x, jac=slope, method="SLSQP", bounds=[(1e-12, cap) for cap in caps],
                    constraints={"type": "eq", "fun": lambda x: x.sum() - 1, "jac": np.ones_like},
                    options={"ftol": 1e-16, "maxiter": 1000},
                ).x  # fmt: skip
            weights = x
        return {"weights": weights.tolist()}

    return Job(run=run, packages=["scipy"])
