"""Whole Gristmill runs through the recipe runner, as a user's `gristmill run` makes them.

In: a recipe file, its variables, the steps to build beforehand. Out: rows of each dataset.
Shown by: `python -m bench.dedup`. Limit: each run pays the start of its worker processes; scripts
measure that on a one-document input and name it apart.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from bench.worker import Job, scratch


def open_recipe(
    recipe: str,
    variables: dict[str, Any],
    workers: int = 1,
    built: list[str] | None = None,
) -> Job:
    """Run the recipe into a fresh store; the steps of `built` are there before the clock starts."""
    from gristmill.progress import Progress
    from gristmill.store import Store
    from pipelines.run import run_recipe

    place = scratch("gristmill-")
    template, fresh = place / "template", place / "store"

    def go(store: Path, only: str | None) -> dict[str, str]:
        with Progress(quiet=True) as quiet:
            return run_recipe(
                recipe, store=store, set=variables, only=only, workers=workers, progress=quiet
            )

    for step in built or []:
        go(template, step)

    def before() -> None:
        shutil.rmtree(fresh, ignore_errors=True)
        if template.exists():
            shutil.copytree(template, fresh)

    def run() -> dict[str, Any]:
        made = go(fresh, None)
        store = Store(fresh)
        return {"rows": {name: store[name].rows for name in made}}

    return Job(run=run, before=before, packages=["pyarrow", "numba"])
