"""mixture_fit: weights from proxy runs: a law for each metric, and the mixture that is best by it.

In: a swarm's mixtures and the metrics that its runs reached. Out: a weight for each source, beside
the heuristics' as controls; `.laws`; `.predictions` of runs that the fit had not seen.
Shown by: `gristmill run pipelines/recipes/train/swarm.yaml`.
Limit: metrics are losses, lower being better; what holds for proxies is carried to the target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from gristmill.errors import RecipeError
from gristmill.step import Output, Phase, Step, StepRun, Task, TaskContext
from mixtures.blend.schedule import Position
from mixtures.laws.loglinear import check_design, fit_loglinear, held_out
from mixtures.weights.evaluations import METRIC, is_evaluation, pivoted
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
from mixtures.weights.runs import RESERVED, Runs, is_file, join, numbers, read_table
from mixtures.weights.sizes import Source, check_sources, source_refs, source_tokens, tokens_of
from mixtures.weights.solver import KL, epoch_caps, solve_mixture

Places = str | tuple[str, ...]


class MixtureFit(Step):
    """Fit a log-linear law a target, and solve for the best mixture."""

    VERSION: ClassVar[int] = 1
    PATTERNS: ClassVar[tuple[str, ...]] = ("metrics", "test_metrics")

    mixtures: str  # a dataset (a swarm) or a file: a row a run, a column of shares a source
    metrics: Places  # likewise, a column a target; or evaluations: "eval/*", those before it
    metric: str = METRIC  # of evaluations
    sources: dict[str, Source] | None = None  # their sizes; null: those of the swarm
    targets: tuple[str, ...] | dict[str, float] | None = None  # or weights of the targets
    budget: Position | None = None  # tokens of the run that is planned; null: the swarm's
    max_epochs: float = MAX_EPOCHS
    kl: float = KL
    reach: float | None = Field(1.0, gt=0)  # times its highest share in any run; null: no limit
    folds: int = Field(5, ge=2)
    test_mixtures: str | None = None
    test_metrics: Places | None = None
    seed: int = 0

    def places(self) -> list[str]:
        """Tables that are read: files, or datasets."""
        given = (self.mixtures, self.metrics, self.test_mixtures, self.test_metrics)
        return list(dict.fromkeys(place for several in given for place in _listed(several)))

    def inputs(self) -> list[str]:
        refs = [place for place in self.places() if not is_file(place)]
        return list(dict.fromkeys(refs + source_refs(self.sources or {})))

    def files(self) -> list[str]:
        return [place for place in self.places() if is_file(place)]

    def packages(self) -> list[str]:
        return ["numpy", "scipy"]

    def check(self) -> None:
        if self.sources is not None:
            check_sources(self.sources)
        if (self.test_mixtures is None) != (self.test_metrics is None):
            raise RecipeError("test_mixtures and test_metrics: give both or neither")
        if not _listed(self.metrics):
            raise RecipeError("metrics is empty; name a table, or the evaluations of the runs")
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
        pinned = {place: run.inputs[place].ref for place in self.places() if not is_file(place)}
        args = {"step": self, "pinned": pinned, "sizes": self._sizes(run)}
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


def _listed(given: Places | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else given or ()


def _runs(
    step: MixtureFit,
    tables: Mapping[str, pa.Table],
    mixtures: str,
    metrics: Places,
    names: list[str] | None,
    targets: list[str] | None,
) -> Runs:
    shares = numbers(tables[mixtures], mixtures, names, RESERVED[1:])
    of_runs = {place: tables[place] for place in _listed(metrics)}
    (first, *others) = of_runs
    if others or is_evaluation(tables[first]):
        return join(shares, pivoted(of_runs, step.metric, targets), mixtures)
    return join(shares, numbers(tables[first], first, targets), mixtures)


def _fit(
    ctx: TaskContext, step: MixtureFit, pinned: dict[str, str], sizes: dict[str, Any]
) -> dict[str, Any]:
    tables = {place: read_table(pinned.get(place, place), ctx.run.store) for place in step.places()}
    targets = list(step.targets) if step.targets is not None else None
    runs = _runs(step, tables, step.mixtures, step.metrics, sizes.get("names"), targets)
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
    against = None
    if step.test_mixtures and step.test_metrics:
        against = _runs(
            step, tables, step.test_mixtures, step.test_metrics, runs.sources, runs.targets
        )
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
