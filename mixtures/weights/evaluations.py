"""What proxies reached as `use: evaluate` wrote it: a score a row, turned into a row a run.

In: evaluations with the label `run`, one metric. Out: a Table, a column a target.
Shown by: `gristmill run pipelines/recipes/train/swarm.yaml`.
Limit: one metric for all targets, and one evaluation a run.

A target is a source of a task, `TASK/SOURCE`; where a task has one source alone, or for all of them
together, it is `TASK`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from gristmill.errors import RecipeError, nearest
from mixtures.weights.runs import Table, run_name

METRIC = "bits_per_byte"
_ALL = "all"  # the source of a score over all of a task's items
_COLUMNS = ("task", "metric", "source", "value", "better")


def is_evaluation(table: pa.Table) -> bool:
    """Whether a table is rows of `use: evaluate`, not a row a run."""
    return set(_COLUMNS) <= set(table.column_names)


def pivoted(evals: Mapping[str, pa.Table], metric: str, targets: Sequence[str] | None) -> Table:
    """A row a run; columns are `targets`, or else every source of every task."""
    values: dict[str, dict[str, float]] = {}
    parts: dict[str, list[str]] = {}  # of a task: the targets that are its sources
    for place, row in _scores(evals, metric):
        whole = row["source"] == _ALL
        target = row["task"] if whole else f"{row['task']}/{row['source']}"
        if target not in values:
            parts.setdefault(row["task"], []).extend([] if whole else [target])
        run, runs = run_name(row["run"]), values.setdefault(target, {})
        if run in runs:
            raise RecipeError(
                f"{place}: run {run!r} has a second {metric} of {target}; each run has one "
                "evaluation, of one model, with `labels: {run: …}`"
            )
        runs[run] = row["value"]
    chosen = targets or [name for task in parts for name in parts[task] or [task]]
    for name in chosen:
        if name not in values:
            raise RecipeError(f"targets has {name!r}{nearest(name, values)}")
    runs_ = list(dict.fromkeys(run for by_run in values.values() for run in by_run))
    rows = [[values[name].get(run, np.nan) for name in chosen] for run in runs_]
    return Table(runs_, list(chosen), np.array(rows, np.float64))


def _scores(evals: Mapping[str, pa.Table], metric: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of that metric over whole sources, and where they are from."""
    known: set[str] = set()
    found = False
    for place, table in evals.items():
        if not is_evaluation(table):
            raise RecipeError(
                f"metrics: {place} is no evaluation (it has {', '.join(table.column_names)}); "
                "name one table with a row a run, or evaluations only"
            )
        if "run" not in table.column_names:
            raise RecipeError(
                f"metrics: {place} has no column 'run'; tell each proxy's run in its evaluation: "
                "`labels: {run: 3}`"
            )
        for row in table.to_pylist():
            known.add(row["metric"])
            if row["metric"] != metric or row.get("length") or row.get("depth") is not None:
                continue
            if row["better"] != "lower":
                raise RecipeError(
                    f"metric is {metric!r}, of which {row['better']} is better: laws are fitted to "
                    "losses; take bits_per_byte, of the answers too"
                )
            found = True
            yield place, row
    if not found:
        raise RecipeError(f"metric is {metric!r}, which no evaluation has{nearest(metric, known)}")
