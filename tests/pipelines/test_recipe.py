"""Recipes: variables, profiles, overrides, loops, and errors that name value, rule and fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gristmill.errors import GristmillError, RecipeError
from pipelines import steps
from pipelines.recipe import Recipe, load_recipe, parse_set


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(steps.STEPS, "doubled", "tests.toy_steps:Doubled")
    monkeypatch.setitem(steps.STEPS, "numbers", "tests.toy_steps:Numbers")


def load(tmp_path: Path, document: Any, **options: Any) -> Recipe:
    path = tmp_path / "r.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return load_recipe(path, **options)


BASE: dict[str, Any] = {
    "name": "toy",
    "seed": 7,
    "vars": {"n": 3, "where": "a"},
    "profiles": {"big": {"vars": {"n": 300}, "set": {"a/double.factor": 9}}},
    "steps": [
        {"name": "${where}/numbers", "use": "numbers", "rows": "${n}"},
        {"name": "a/double", "use": "doubled", "from": "a/numbers"},
    ],
}


def test_a_lone_variable_keeps_its_type_and_one_in_text_becomes_text(tmp_path: Path) -> None:
    numbers = load(tmp_path, BASE).steps[0]
    assert (numbers.name, numbers.rows) == ("a/numbers", 3)  # type: ignore[attr-defined]


def test_the_recipes_seed_reaches_steps_that_draw(tmp_path: Path) -> None:
    assert load(tmp_path, BASE).steps[0].seed == 7  # type: ignore[attr-defined]


def test_profile_then_set_override(tmp_path: Path) -> None:
    recipe = load(tmp_path, BASE, profile="big", set={"a/double.factor": 5})
    assert recipe.steps[0].rows == 300  # type: ignore[attr-defined]
    assert recipe.steps[1].factor == 5  # type: ignore[attr-defined]


def test_variables_may_name_variables(tmp_path: Path) -> None:
    document = {**BASE, "vars": {"n": "${m}", "m": 4, "where": "a"}}
    assert load(tmp_path, document).steps[0].rows == 4  # type: ignore[attr-defined]


def test_repeat_and_grid_unroll_into_ordinary_steps(tmp_path: Path) -> None:
    inner = [{"name": "r${round}", "use": "doubled", "from": "r${previous}"}]
    grid = [{"name": "g${f}-${k}", "use": "doubled", "from": "r0", "factor": "${f}"}]
    document = {
        "steps": [
            {"name": "r0", "use": "numbers"},
            {"repeat": {"times": 2, "steps": inner}},
            {"grid": {"over": {"f": [2, 3], "k": ["x", "y"]}, "steps": grid}},
        ]
    }
    recipe = load(tmp_path, document)
    names = ["r0", "r1", "r2", "g2-x", "g2-y", "g3-x", "g3-y"]
    assert [step.name for step in recipe.steps] == names
    assert recipe.steps[2].inputs() == ["r1"]


def test_include_brings_in_steps_and_vars_that_the_recipe_may_override(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text(
        "vars: {n: 1}\nsteps: [{name: first, use: numbers, rows: '${n}'}]"
    )
    document = {"include": "part.yaml", "vars": {"n": 2}, "steps": [BASE["steps"][1]]}
    recipe = load(tmp_path, document)
    assert [step.name for step in recipe.steps] == ["first", "a/double"]
    assert recipe.steps[0].rows == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({**BASE, "step": []}, "unknown key 'step'; did you mean 'steps'?"),
        ({"steps": []}, "`steps:` is empty"),
        ({"steps": [{"name": "x", "use": "numbrs"}]}, "did you mean 'numbers'?"),
        ({"steps": [{"name": "x", "use": "numbers", "row": 1}]}, "did you mean 'rows'?"),
        ({"steps": [{"name": "x", "use": "numbers", "rows": "many"}]}, "rows is 'many'"),
        ({"steps": [{"name": "../x", "use": "numbers"}]}, "is not a name"),
        ({"steps": [{"name": "a/refs", "use": "numbers"}]}, "reserved"),
        ({"steps": [{"use": "numbers"}]}, "`name` is None"),
        ({"steps": [{"name": "x", "use": "numbers", "rows": "${m}"}]}, "${m} is not in `vars`"),
        ({"vars": {"a": "${b}", "b": "${a}"}, "steps": BASE["steps"]}, "through itself"),
        ({"steps": [{"name": "x", "use": "numbers"}] * 2}, "two steps are named 'x'"),
        ({"steps": [{"name": "x", "use": "doubled"}]}, "key 'from' is missing"),
        ({**BASE, "seed": "x"}, "seed is 'x'"),
        ("- a", "a recipe is a mapping"),
        ("a: [", "is not a YAML recipe"),
        ("!!python/object/apply:os.system [ls]", "is not a YAML recipe"),
        ({"steps": [{"repeat": {"times": 0, "steps": []}}]}, "repeat.times is 0"),
        ({"steps": [{"repeat": {"times": True, "steps": []}}]}, "repeat.times is True"),
    ],
)
def test_errors_give_value_rule_and_fix(tmp_path: Path, document: Any, says: str) -> None:
    with pytest.raises(GristmillError) as caught:
        load(tmp_path, document)
    assert says in str(caught.value)


def test_unknown_variable_profile_and_step_are_errors(tmp_path: Path) -> None:
    for options, says in [
        ({"set": {"m": 1}}, "no variable 'm'"),
        ({"set": {"a/doubl.factor": 1}}, "did you mean"),
        ({"profile": "bog"}, "did you mean 'big'?"),
    ]:
        with pytest.raises(RecipeError) as caught:
            load(tmp_path, BASE, **options)  # type: ignore[arg-type]
        assert says in str(caught.value)


def test_set_values_are_yaml_and_globs_are_text() -> None:
    parsed = parse_set(["a=[x, y]", "b=*.warc.gz", "c=3", "d=../data/*.gz", "e="])
    assert parsed == {"a": ["x", "y"], "b": "*.warc.gz", "c": 3, "d": "../data/*.gz", "e": None}
    with pytest.raises(RecipeError, match="KEY=VALUE"):
        parse_set(["a"])


CURATED: dict[str, Any] = {
    "steps": [
        {
            "name": "web/clean",
            "use": "curate",
            "from": {"jsonl": "x.jsonl"},
            "ops": ["pii", {"rules": "gopher_quality"}],
        }
    ]
}


def test_set_reaches_into_ops_also_through_the_shorthand(tmp_path: Path) -> None:
    recipe = load(tmp_path, CURATED, set={"web/clean.ops.1.rules.min_words": 30})
    op = recipe.steps[0].ops[1]  # type: ignore[attr-defined]
    assert op.chosen().rules[0].threshold == 30


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("web/clean.ops.9.rules", "'9' is not one of the 2 entries"),
        ("web/clean.ops.x", "'x' is not one of the 2 entries"),
        ("web/clean.name.y", "'web/clean' has no key 'y'"),
    ],
)
def test_set_of_a_place_that_is_not_there_is_an_error(tmp_path: Path, key: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        load(tmp_path, CURATED, set={key: 1})
