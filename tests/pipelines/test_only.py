"""`--only` builds on what the recipe's own settings gave, and says when it cannot."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from gristmill.errors import RecipeError
from gristmill.progress import Progress
from gristmill.store import Store
from pipelines.local import LocalExecutor
from pipelines.recipe import Recipe
from pipelines.run import _run_steps
from tests.toy_steps import Doubled, Numbers


def recipe(rows: int, factor: int = 2) -> Recipe:
    first = Numbers.model_validate({"name": "n", "use": "numbers", "rows": rows})
    second = Doubled.model_validate({"name": "d", "use": "doubled", "from": "n", "factor": factor})
    last = Doubled.model_validate({"name": "e", "use": "doubled", "from": "d"})
    return Recipe("r", 0, Path("r.yaml"), (first, second, last))


def build(loaded: Recipe, store: Store, only: str | None = None) -> tuple[dict[str, str], str]:
    stream = io.StringIO()
    with LocalExecutor(1) as executor, Progress(stream=stream) as progress:
        return _run_steps(loaded, store, executor, progress, None, only), stream.getvalue()


def test_only_reads_what_the_settings_give_not_the_latest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(RecipeError, match=r"'n'.*run without --only"):
        build(recipe(3), store, only="d")
    first, _ = build(recipe(3), store)
    build(recipe(4), store)
    assert store["n"].version != first["n"]  # the latest is of the other settings
    again, said = build(recipe(3), store, only="d")
    assert again["d"] == first["d"] and "reads the latest" not in said


def test_only_says_when_it_must_take_the_latest(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made, _ = build(recipe(3), store)
    other, said = build(recipe(5, factor=3), store, only="d")
    assert f"d: reads the latest, n@{made['n']}" in said
    assert "rows 3 -> 5" in said and "run without --only" in said
    assert other["d"] != made["d"]
    _, said = build(recipe(5, factor=4), store, only="e")
    assert "e: reads the latest, d@" in said and "n is not" in said
