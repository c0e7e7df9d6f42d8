"""What a fit of mixing laws leaves: rows of weights, laws and predictions, and words of caution.

In: a `Fitted`. Out: Arrow tables; notes for the user.
Shown by: `gristmill sql 'select target, spearman, ols_spearman from "best.laws"'`.
Limit: a held-out rank correlation speaks of proxies like those fitted, not of larger models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mixtures.laws.fitting import spearman
from mixtures.laws.loglinear import HeldOut, LogLinearLaw, straight_line
from mixtures.weights.heuristics import F64, controls
from mixtures.weights.runs import Runs

POOR = 0.8  # held-out rank correlation below which a law does not rank mixtures
TEST_FOLD = -1
_F, _S = pa.float64(), pa.string()
WEIGHTS = pa.schema(
    [
        ("source", _S),
        ("weight", _F),
        ("natural", _F),
        ("uniform", _F),
        ("temperature", _F),  # null where the tokens of the sources are not known
        ("unimax", _F),
        ("cap", _F),
        ("tokens", pa.int64()),
        ("epochs", _F),  # at the fitted weight; null without a budget
        ("highest_share", _F),  # of the source in any run
    ]
)
LAWS = pa.schema(
    [
        ("target", _S),
        ("target_weight", _F),
        ("c", _F),
        ("t", pa.list_(pa.struct([("source", _S), ("value", _F)]))),
        ("spearman", _F),  # of held-out runs; null where none could be held out
        ("ols_spearman", _F),
        ("test_spearman", _F),
        ("test_ols_spearman", _F),
        ("residual", _F),  # root mean square over the runs fitted
        ("lowest_seen", _F),
        ("loss_fitted", _F),  # what the law says of the mixtures
        ("loss_natural", _F),
        ("loss_uniform", _F),
    ]
)
PREDICTIONS = pa.schema(
    [
        ("run", _S),
        ("target", _S),
        ("observed", _F),
        ("predicted", _F),
        ("ols", _F),
        ("fold", pa.int32()),  # -1: a run of the test set, predicted by the law of all runs
    ]
)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Runs, their laws and the mixture chosen."""

    runs: Runs
    law: LogLinearLaw
    seen: HeldOut
    natural: F64
    caps: F64
    tokens: F64 | None
    budget: float | None
    weights: F64
    free: F64  # what they would be without `reach`
    target_weights: F64


def weight_rows(fitted: Fitted) -> pa.Table:
    """One row a source."""
    count = len(fitted.natural)
    none = pa.nulls(count, _F)
    rows = {
        "source": fitted.runs.sources,
        "weight": fitted.weights,
        "natural": _digits(fitted.natural),
        "uniform": _digits(np.full(count, 1 / count)),
        "temperature": none,
        "unimax": none,
        "cap": _digits(fitted.caps),
        "tokens": pa.nulls(count, pa.int64()),
        "epochs": none,
        "highest_share": _digits(fitted.runs.shares.max(axis=0)),
    }
    if fitted.tokens is not None:
        others = controls(fitted.tokens, fitted.budget or float(fitted.tokens.sum()))
        rows["temperature"], rows["unimax"] = (
            _digits(others[name]) for name in ("temperature", "unimax")
        )
        rows["tokens"] = fitted.tokens.astype(np.int64)
        if fitted.budget:
            rows["epochs"] = _digits(fitted.weights * fitted.budget / fitted.tokens)
    return pa.table(rows, schema=WEIGHTS)


def law_rows(fitted: Fitted, test: Runs | None) -> pa.Table:
    """One row a target."""
    runs, law = fitted.runs, fitted.law
    count = len(runs.targets)
    even = np.full(len(fitted.natural), 1 / len(fitted.natural))
    at = {
        "loss_fitted": law.loss(fitted.weights),
        "loss_natural": law.loss(fitted.natural),
        "loss_uniform": law.loss(even),
    }
    tested = np.full((2, count), np.nan)
    if test is not None:
        for row, made in enumerate((law.loss(test.shares), _ols(runs, test))):
            tested[row] = [spearman(test.losses[:, k], made[:, k]) for k in range(count)]
    rows = {
        "target": runs.targets,
        "target_weight": _digits(fitted.target_weights / fitted.target_weights.sum()),
        "c": _digits(law.c),
        "t": [
            [
                {"source": s, "value": float(f"{v:.5g}")}
                for s, v in zip(runs.sources, row, strict=True)
            ]
            for row in law.t.tolist()
        ],
        "spearman": _digits(fitted.seen.spearman),
        "ols_spearman": _digits(fitted.seen.ols_spearman),
        "test_spearman": _digits(tested[0]),
        "test_ols_spearman": _digits(tested[1]),
        "residual": _digits(_residuals(fitted)),
        "lowest_seen": _digits(runs.losses.min(axis=0)),
        **{name: _digits(values) for name, values in at.items()},
    }
    return pa.table(rows, schema=LAWS)


def prediction_rows(fitted: Fitted, test: Runs | None) -> pa.Table:
    """One row a run and target, runs of the test set last."""
    seen = fitted.seen
    parts = [(fitted.runs, seen.law, seen.ols, seen.fold)]
    if test is not None:
        fold = np.full(len(test.names), TEST_FOLD, np.int32)
        parts.append((test, fitted.law.loss(test.shares), _ols(fitted.runs, test), fold))
    tables = []
    for runs, predicted, ols, fold in parts:
        targets = len(runs.targets)
        rows = {
            "run": [name for name in runs.names for _ in range(targets)],
            "target": runs.targets * len(runs.names),
            "observed": runs.losses.ravel(),
            "predicted": _digits(predicted.ravel()),
            "ols": _digits(ols.ravel()),
            "fold": np.repeat(fold, targets),
        }
        tables.append(pa.table(rows, schema=PREDICTIONS))
    return pa.concat_tables(tables)


def advice(fitted: Fitted) -> list[str]:
    """Where the fit should not be trusted."""
    runs, seen = fitted.runs, fitted.seen
    notes = []
    if np.isnan(seen.spearman).all():
        notes.append(
            f"{len(runs.names)} runs leave none to hold out (or no ranks to compare): nothing says "
            "whether the laws predict"
        )
    for target, law, line in zip(runs.targets, seen.spearman, seen.ols_spearman, strict=True):
        if law < POOR:
            notes.append(
                f"{target}: held-out rank correlation {law:.2f} is below {POOR}: its law does not "
                "rank mixtures; more runs, or longer ones"
            )
        if law < line:
            notes.append(
                f"{target}: a straight line ranks held-out runs better ({line:.3f}) than the law "
                f"({law:.3f}); distrust its part of the weights"
            )
    tried = runs.shares.max(axis=0)
    for place in np.flatnonzero(fitted.free > np.maximum(tried, fitted.weights) + 1e-4):
        notes.append(
            f"{runs.sources[place]}: held at {fitted.weights[place]:.3f}, near the highest share "
            f"tried; the law alone asks for {fitted.free[place]:.3f} (reach: null)"
        )
    for place in np.flatnonzero(fitted.weights > tried + 1e-6):
        notes.append(
            f"{runs.sources[place]}: weight {fitted.weights[place]:.3f} is beyond any run's share "
            f"({tried[place]:.3f}): the law is carried past what was tried"
        )
    for place in np.flatnonzero(tried == 0):
        notes.append(
            f"{runs.sources[place]}: in no run, so its weight is 0: nothing is known of it"
        )
    part = fitted.target_weights / fitted.target_weights.sum()
    gain = float(part @ (fitted.law.loss(fitted.natural) - fitted.law.loss(fitted.weights)))
    noise = float(part @ _residuals(fitted))
    if gain < noise:
        notes.append(
            f"the fitted mixture is {gain:.4f} better than the natural one, less than the laws' "
            f"own residual ({noise:.4f}): a draw"
        )
    return notes


def _residuals(fitted: Fitted) -> F64:
    off = fitted.law.loss(fitted.runs.shares) - fitted.runs.losses
    return np.asarray(np.sqrt((off**2).mean(axis=0)))


def _ols(runs: Runs, test: Runs) -> F64:
    return np.asarray(test.shares @ straight_line(runs.shares, runs.losses))


def _digits(values: F64) -> pa.Array:
    """Six decimals, nan as null: what differs beyond is the processor's, not the data's."""
    return pa.array(np.asarray(values, np.float64).round(6), _F, from_pandas=True)
