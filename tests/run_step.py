"""Run steps and recipes against a store in tests, with real worker processes or in this one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from gristmill.errors import TaskError
from gristmill.progress import Progress
from gristmill.step import Phase, Step
from gristmill.store import Store
from gristmill.task import RunInfo, execute
from pipelines import run
from pipelines.local import LocalExecutor, Shown

RECIPES = Path(run.__file__).parent / "recipes"


class InProcess:
    """An executor without workers: faster to start, and what goes wrong shows its traceback."""

    workers = 1

    def run(self, phase: Phase, info: RunInfo, shown: Shown) -> None:
        state = phase.worker_setup() if phase.worker_setup is not None else None
        for task in phase.tasks:
            failed = execute(info, phase.name, task.id, task.call, task.args, state)
            if failed is not None:
                raise TaskError(failed["traceback"])


def run_step(
    step: Step,
    store: Store | Path | str,
    workers: int = 1,
    limit: int | None = None,
    executor: InProcess | None = None,
) -> dict[str, str]:
    """Build a step; dataset name -> version of every output."""
    place = store if isinstance(store, Store) else Store(store)
    inputs = {ref: place[ref] for ref in step.inputs()}
    with LocalExecutor(workers) as local, Progress(quiet=True) as progress:
        return run.run_step(step, place, executor or local, progress, inputs, None, limit)


def run_recipe(
    recipe: Path, store: Path, settings: dict[str, Any], workers: int = 2
) -> dict[str, str]:
    """Build a recipe with real worker processes; dataset name -> version of every output."""
    with Progress(quiet=True) as progress:
        return run.run_recipe(recipe, store=store, set=settings, workers=workers, progress=progress)


def fineweb() -> dict[str, Any]:
    """The shipped recipe, to be changed: its steps by name under `steps`."""
    loaded: dict[str, Any] = yaml.safe_load((RECIPES / "fineweb.yaml").read_text())
    loaded["steps"] = {step["name"]: step for step in loaded["steps"]}
    return loaded


def account(store: Store, name: str, records: int) -> None:
    """Assert that a step's ledger has each record once and that kept and dropped add up."""
    ledger = store[name + ".ledger"]
    states = ledger.manifest["totals"]["counts"].get("state", {})
    kept = sum(count for state, count in states.items() if state != "dropped")
    assert (ledger.rows, kept) == (records, store[name].rows), (name, states)
