"""Scores of several evaluations as values by metric, arm and seed.

In: evaluations with labels, or lists of them by arm. Out: Runs. Shown by: `use: compare`.
Limit: cells of heat maps (length by depth) are not compared; all of a length are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gristmill.errors import RecipeError, nearest
from gristmill.store import Dataset
from train.compare.statistics import Metric


@dataclass(slots=True)
class Runs:
    """values[metric][arm][seed]; the arm of each model that was evaluated; the evaluation and
    model that a value, by metric, arm and seed, is of."""

    values: dict[Metric, dict[str, dict[str, float]]] = field(default_factory=dict)
    arms: list[str] = field(default_factory=list)
    arm_of: dict[str, str] = field(default_factory=dict)
    found_in: dict[tuple[Metric, str, str], tuple[Dataset, str]] = field(default_factory=dict)

    def add(self, arm: str, seed: str, row: Mapping[str, Any], dataset: Dataset) -> None:
        """One score; RecipeError where the arm has one of that metric and seed already."""
        what = Metric(row["task"], row["metric"], row["source"], row["length"], row["better"])
        seeds = self.values.setdefault(what, {}).setdefault(arm, {})
        if seed in seeds:
            raise RecipeError(
                f"{dataset.ref}: arm {arm!r}, seed {seed} has a second {what.task}.{what.metric}; "
                "give evaluations of one arm different seeds: `labels: {arm: raw, seed: 2}`"
            )
        seeds[seed] = row["value"]
        if arm not in self.arms:
            self.arms.append(arm)
        self.arm_of[row["model"]] = arm
        self.found_in[what, arm, seed] = dataset, row["model"]


def labelled(evals: Sequence[Dataset], arm: str, seed: str) -> Runs:
    """Arms and seeds as the columns of the evaluations say."""
    found = Runs()
    for dataset in evals:
        rows = _rows(dataset, [arm])
        for place, row in enumerate(rows):
            number = str(row.get(seed, 0))
            if row[arm] is None:
                raise RecipeError(f"{dataset.ref}: row {place} has no {arm!r}")
            found.add(str(row[arm]), number, row, dataset)
    return found


def listed(runs: Mapping[str, Sequence[Dataset]], seed: str) -> Runs:
    """Arms as the recipe lists them; a seed is the label, or the place in the list."""
    found = Runs()
    for arm, evals in runs.items():
        for place, dataset in enumerate(evals):
            for row in _rows(dataset, []):
                found.add(arm, str(row.get(seed, place + 1)), row, dataset)
    return found


def chosen(
    runs: Runs, tasks: Sequence[str], metrics: Sequence[str], sources: Sequence[str]
) -> Runs:
    """Those metrics that are asked for; RecipeError for one that no evaluation has."""
    asked = {"tasks": tasks, "metrics": metrics, "sources": sources}
    known = {
        "tasks": {what.task for what in runs.values},
        "metrics": {what.metric for what in runs.values},
        "sources": {what.source for what in runs.values},
    }
    for key, names in asked.items():
        for name in names:
            if name not in known[key]:
                raise RecipeError(f"{key} has {name!r}{nearest(name, known[key])}")
    kept = {
        what: by_arm
        for what, by_arm in runs.values.items()
        if (not tasks or what.task in tasks)
        and (not metrics or what.metric in metrics)
        and (not sources or what.source in sources)
    }
    return Runs(kept, runs.arms, runs.arm_of, runs.found_in)


def _rows(dataset: Dataset, columns: Sequence[str]) -> list[dict[str, Any]]:
    names = dataset.must_have_rows().schema.names
    for name in ("task", "metric", "value", "better", *columns):
        if name not in names:
            raise RecipeError(
                f"{dataset.ref} has no column {name!r}; compare reads evaluations, whose `labels` "
                f"are columns (`labels: {{arm: raw, seed: 1}}`); it has {', '.join(names)}"
            )
    return [row for row in dataset.to_table().to_pylist() if row["depth"] is None]
