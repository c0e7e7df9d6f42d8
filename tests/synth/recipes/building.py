"""Build a shipped recipe in this process, and check what holds for every recipe.

In: a recipe's name, settings. Out: the datasets that it made. Shown by:
`python -m pytest tests/synth/recipes`. Limit: steps run one after another, without workers.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gristmill.progress import Progress
from gristmill.schema import KINDS
from gristmill.store import Dataset, Store
from pipelines.recipe import load_recipe
from pipelines.run import run_step
from synth.emit import PROVENANCE
from synth.ledger import STATES
from synth.step import Synthesize
from tests.run_step import RECIPES, InProcess

HOME = RECIPES / "synth"


def build(name: str, store: Path, settings: Mapping[str, Any]) -> dict[str, Dataset]:
    """Every dataset that a recipe makes, by name; all of them are checked."""
    place = Store(store)
    made: dict[str, Dataset] = {}
    with Progress(quiet=True) as progress:
        for step in load_recipe(HOME / f"{name}.yaml", settings).steps:
            inputs = {ref: made.get(ref) or place[ref] for ref in step.inputs()}
            versions = run_step(step, place, InProcess(), progress, inputs)
            made |= {key: place[f"{key}@{version}"] for key, version in versions.items()}
            if isinstance(step, Synthesize):
                reconciled(made, step.name)
                traced(made, step)
    return made


def reconciled(made: Mapping[str, Dataset], name: str) -> None:
    """Every source row is in one state, and the states add up."""
    told = made[name].build()["facts"]["rows"]
    assert told["in"] == sum(told[state] for state in STATES) == made[name + ".ledger"].rows
    assert told["pending"] == 0
    counted = made[name + ".ledger"].manifest["totals"]["counts"].get("state", {})
    assert {state: told[state] for state in STATES if told[state]} == counted


def traced(made: Mapping[str, Dataset], step: Synthesize) -> None:
    """Rows fit their kind, name their parents, and tell how each completion was made."""
    dataset = made[step.name]
    kind = KINDS[dataset.manifest["kind"]]
    assert {*kind.required.names, *PROVENANCE} <= set(dataset.schema.names)
    sources = {row["id"] for row in rows(made[step.name + ".ledger"])}
    drawn = isinstance(step.from_, dict) and "shots" in step.from_  # parents are of the pool
    keys = {row["key"] for row in rows(made[step.name + ".completions"])}
    ids = [row["id"] for row in rows(dataset)]
    assert len(ids) == len(set(ids))
    for row in rows(dataset):
        assert row["parents"] and (drawn or set(row["parents"]) <= sources)
        for one in row["made"]:
            assert one["model"] and one["revision"] and one["key"]
            if "max_tokens" in json.loads(one["params"]):  # a completion, not log-probabilities
                assert one["key"] in keys and one["finish_reason"]


def rows(dataset: Dataset) -> list[dict[str, Any]]:
    """All rows as Python values."""
    found: list[dict[str, Any]] = dataset.to_table().to_pylist()
    return found


def reasons(ledger: Dataset) -> set[str]:
    """Why candidates were lost: reasons of failures, and rules."""
    return {rule["rule"] for row in rows(ledger) for rule in row["rules"]}


def write(path: Path, values: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """A JSONL file, as a step's `from`."""
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in values))
    return {"jsonl": str(path)}


def read(path: Path, count: int) -> list[dict[str, Any]]:
    """The first rows of a packed JSONL file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for _, line in zip(range(count), lines, strict=False)]
