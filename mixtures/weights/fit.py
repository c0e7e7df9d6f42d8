"""mixture_fit: weights from proxy runs: a law for each metric, and the mixture that is best by it.

In: a swarm's mixtures and the metrics that its runs reached. Out: a weight for each source, beside
the heuristics' as controls; `.laws`; `.predictions` of runs that the fit had not seen.
Shown by: `- {name: best, use: mixture_fit, mixtures: swarm, metrics: losses.csv}`.
Limit: metrics are losses, lower being better; what holds for proxies is carried to the target.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from gristmill.errors import RecipeError
from gristmill.step import Output, Phase, Step, StepRun, Task, TaskContext
from mixtures.blend.schedule import Position
from mixtures.laws.loglinear import check_design, fit_loglinear, held_out
from mixtures.weights.fit_report import (
    LAWS,
    PREDICTIONS,
    WEIGHTS,
    Fitted,
    advice,
    law_rows,
    prediction_rows,
    weight_rows,
)
from mixtures.weights.heuristics import F64, MAX_EPOCHS, source_sizes
from mixtures.weights.runs import Runs, Table, is_file, join, numbers, read_table
from mixtures.weights.sizes import Source, check_sources, source_refs, source_tokens, tokens_of
from mixtures.weights.solver import KL, epoch_caps, solve_mixture
from mixtures.weights.swarm import RESERVED


class MixtureFit(Step):
    """Fit a log-linear law a target, and solve for the best mixture."""

    VERSION: ClassVar[int] = 1

    mixtures: str  # a dataset (a swarm) or a file: a row a run, a column of shares a source
    metrics: str  # a dataset or a file: a row a run, a column a target
    sources: dict[str, Source] | None = None  # their sizes; null: those of the swarm
    targets: tuple[str, ...] | dict[str, float] | None = None  # or weights of the targets
    budget: Position | None = None  # tokens of the run that is planned; null: the swarm's
    max_epochs: float = MAX_EPOCHS
    kl: float = KL
    reach: float | None = Field(1.0, gt=0)  # times its highest share in any run; null: no limit
    folds: int = Field(5, ge=2)
    test_mixtures: str | None = None
    test_metrics: str | None = None
    seed: int = 0

    def _places(self) -> list[str]:
        given = (self.mixtures, self.metrics, self.test_mixtures, self.test_metrics)
        return list(dict.fromkeys(place for place in given if place))

    def inputs(self) -> list[str]:
        refs = [place for place in self._places() if not is_file(place)]
        return list(dict.fromkeys(refs + source_refs(self.sources or {})))

    def files(self) -> list[str]:
        return [place for place in self._places() if is_file(place)]

    def packages(self) -> list[str]:
        return ["numpy", "scipy"]

    def check(self) -> None:
        if self.sources is not None:
            check_sources(self.sources)
        if (self.test_mixtures is None) != (self.test_metrics is None):
            raise RecipeError("test_mixtures and test_metrics: give both or neither")
        weights = self.targets.values() if isinstance(self.targets, dict) else [1.0]
        if any(not np.isfinite(w) or w < 0 for w in weights) or not sum(weights):
            raise RecipeError(f"targets {self.targets}: weights are numbers from 0, not all 0")

    def outputs(self) -> dict[str, Output]:
        return {
            "": Output("rows", "a weight for each source, and the heuristics'"),
            ".laws": Output("rows", "the law of each target, and how well it holds"),
            ".predictions": Output("rows", "each run's losses, and what a fit without it says"),
        }

    def phases(self, run: StepRun) -> Iterator[Phase]:
        def pinned(place: str | None) -> str | None:
            return run.inputs[place].ref if place in run.inputs else place

        args = {
            "step": self,
            "places": [pinned(p) for p in (self.mixtures, self.metrics)],
            "test": [pinned(p) for p in (self.test_mixtures, self.test_metrics)],
            "sizes": self._sizes(run),
        }
        yield Phase("fit", [Task("all", _fit, args)], unit="fits")
        record = run.records("fit")[0].value
        for note in record["notes"]:
            run.note(note)
        run.facts |= record["facts"]

    def _sizes(self, run: StepRun) -> dict[str, Any]:
        """Sources with their tokens, or a swarm's own; nothing where nobody says."""
        budget = tokens_of(self.budget, "budget")
        if self.sources is not None:
            sizes = source_tokens(self.sources, run)
            names, tokens = list(sizes), source_sizes(list(sizes.values()))
            caps = epoch_caps(tokens, budget, self.max_epochs) if budget else None
            return _as_sizes(names, tokens, budget, caps)
        swarm = run.inputs.get(self.mixtures)
        if swarm is None or swarm.build()["use"] != "mixture_swarm":
            if budget:
                raise RecipeError("budget needs `sources`: the tokens that each source has")
            return {}
        rows = swarm.output(".sources").to_table()
        tokens = source_sizes(rows["tokens"].to_pylist(), rows["source"].to_pylist())
        caps = rows["cap"].to_numpy()
        if budget:
            caps = epoch_caps(tokens, budget, self.max_epochs)
        budget = budget or swarm.build()["facts"]["budget"]
        return _as_sizes(rows["source"].to_pylist(), tokens, budget, caps)


def _as_sizes(
    names: list[str], tokens: F64, budget: float | None, caps: F64 | None
) -> dict[str, Any]:
    return {
        "names": names,
        "tokens": tokens.tolist(),
        "budget": budget,
        "caps": None if caps is None else caps.tolist(),
    }


def _runs(
    places: list[str], store: str, names: list[str] | None, targets: list[str] | None
) -> Runs:
    mixtures, metrics = places
    shares: Table = numbers(read_table(mixtures, store), mixtures, names, RESERVED[1:])
    losses: Table = numbers(read_table(metrics, store), metrics, targets)
    return join(shares, losses, mixtures)


def _fit(
    ctx: TaskContext, step: MixtureFit, places: list[str], test: list[str], sizes: dict[str, Any]
) -> dict[str, Any]:
    store, targets = ctx.run.store, list(step.targets) if step.targets is not None else None
    runs = _runs(places, store, sizes.get("names"), targets)
    notes = list(runs.notes)
    if few := check_design(runs.shares, runs.sources):
        notes.append(few)
    law = fit_loglinear(runs.shares, runs.losses)
    seen = held_out(runs.shares, runs.losses, step.folds, step.seed)
    live = runs.shares.max(axis=0) > 0
    if sizes:
        tokens = np.array(sizes["tokens"])
        natural = tokens / tokens.sum()
    else:
        tokens, natural = None, runs.shares.mean(axis=0)
        natural = np.maximum(natural, 1e-9) / np.maximum(natural, 1e-9).sum()
        notes.append(
            "no `sources` with their tokens: the mean mixture of the runs stands for the natural "
            "one, and no source is capped"
        )
    caps = np.ones(len(natural)) if sizes.get("caps") is None else np.array(sizes["caps"])
    if sizes and sizes.get("caps") is None:
        notes.append("no `budget`: no source is capped, however often it would be repeated")
    shares = (
        np.array([float(step.targets[name]) for name in runs.targets])
        if isinstance(step.targets, dict)
        else np.ones(len(runs.targets))
    )
    room = np.where(live, caps, 0.0)
    free = found = solve_mixture(law.t, natural, room, step.kl, shares)
    if step.reach is not None:
        near = np.minimum(room, step.reach * runs.shares.max(axis=0))
        if near.sum() >= 1:
            found = solve_mixture(law.t, natural, near, step.kl, shares)
        else:
            notes.append(
                f"reach {step.reach:g} and the caps leave room for {near.sum():.2f} of 1: weights "
                "may go beyond the shares tried"
            )
    fitted = Fitted(
        runs=runs,
        law=law,
        seen=seen,
        natural=natural,
        caps=caps,
        tokens=tokens,
        budget=sizes.get("budget"),
        weights=_rounded(found.weights),
        free=free.weights,
        target_weights=shares,
    )
    against = _runs(test, store, runs.sources, runs.targets) if test[0] else None
    ctx.writer("", WEIGHTS).write(weight_rows(fitted))
    ctx.writer(".laws", LAWS).write(law_rows(fitted, against))
    writer = ctx.writer(".predictions", PREDICTIONS)
    writer.write(prediction_rows(fitted, against))
    ctx.advance(1)
    facts = {
        "runs": len(runs.names),
        "spearman": _mean(seen.spearman),
        "ols_spearman": _mean(seen.ols_spearman),
        "gap": found.gap,
    }
    return {"notes": notes + advice(fitted), "facts": facts}


def _mean(values: F64) -> float | None:
    return None if np.isnan(values).all() else round(float(np.nanmean(values)), 6)


def _rounded(weights: F64) -> F64:
    """Six decimals, so that the last bits of another processor make no other version."""
    made = weights.round(6)
    made[np.argmax(made)] += round(1 - float(made.sum()), 6)
    return np.asarray(made.round(6))
