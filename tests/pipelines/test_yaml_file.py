"""A key that stands twice in a recipe is refused, not decided by its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.errors import RecipeError
from pipelines.recipe import load_recipe

STEP = "steps:\n  - name: seeds\n    use: import\n    from: rows.jsonl\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            STEP + "    from: other.jsonl\n",
            r"r\.yaml, line 5: key 'from' is there already, in line 4",
        ),
        (STEP + STEP, "line 5: key 'steps' is there already, in line 1"),
        ("vars: {a: 1, a: 2}\n" + STEP, "line 1: key 'a' is there already, in line 1"),
    ],
)
def test_a_key_twice_is_an_error(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=says):
        load_recipe(path)


def test_what_is_merged_in_may_be_set_again(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    text = "vars: {base: &base {kind: rows, use: import}, '1': a, 1: b}\nsteps:\n"
    path.write_text(text + "  - {<<: *base, name: a, from: x, kind: chat}\n")
    (step,) = load_recipe(path).steps
    assert step.model_dump()["kind"] == "chat"
