"""The JSON Schema of recipes: it accepts what the loader accepts, and marks the wrong key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from curation.ops import op_names
from pipelines.init import RECIPES
from pipelines.json_schema import field_comments, recipe_schema, step_names
from pipelines.recipe import load_recipe
from tests.conftest import ROOT

SCHEMA = jsonschema.Draft7Validator(recipe_schema())
RECIPE_FILES = [*RECIPES.rglob("*.yaml"), *(ROOT / "bench" / "recipes").glob("*.yaml")]
CURATE = {"name": "a", "use": "curate", "from": {"warc": "x"}}


def problems(document: Any) -> list[tuple[str, str]]:
    return [(error.json_path, error.message) for error in SCHEMA.iter_errors(document)]


def test_it_is_a_json_schema() -> None:
    jsonschema.Draft7Validator.check_schema(recipe_schema())


@pytest.mark.parametrize("path", RECIPE_FILES, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    assert problems(yaml.safe_load(path.read_text())) == []


@pytest.mark.parametrize(
    "step",
    [
        {**CURATE, "ops": ["pii", {"extract": None}, {"rules": "gopher_quality"}]},
        {**CURATE, "ops": [{"language": {"keep": "en"}}, {"language": {"keep": "${languages}"}}]},
        {**CURATE, "ops": [{"rules": {"set": "gopher_quality@paper", "min_words": None}}]},
        {**CURATE, "ops": [{"url": {"domains": "list.txt", "words": ["a.txt", "b.txt"]}}]},
        {**CURATE, "from": {"jsonl": ["a.jsonl"], "text_field": "body"}, "evaluate": "all"},
        {**CURATE, "from": {"warc": "x", "declare": {"documents": 3e9, "tokens": 2e12}}},
        {"name": "b", "use": "decontaminate", "from": "a", "against": "x.jsonl"},
        {"name": "b", "use": "decontaminate", "from": "a", "against": [{"path": "x.jsonl"}, "y"]},
        {"name": "b", "use": "minhash_dedup", "from": "a", "threshold": "${t}", "bands": 20},
        {"name": "b", "use": "exact_dedup", "from": "a", "by": ["url", "text"]},
        {"repeat": {"times": 2, "steps": [{**CURATE, "name": "r${round}"}]}},
        {"grid": {"over": {"n": [8, 13]}, "steps": [{**CURATE, "name": "g${n}"}]}},
    ],
)
def test_it_accepts_what_the_loader_accepts(step: dict[str, Any], tmp_path: Path) -> None:
    document = {"vars": {"t": 0.8, "languages": ["en"]}, "steps": [step]}
    assert problems(document) == []
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(document))
    assert load_recipe(tmp_path / "r.yaml").steps


@pytest.mark.parametrize(
    ("step", "where", "says"),
    [
        ({**CURATE, "op": []}, "$.steps[0]", "'op' was unexpected"),
        ({**CURATE, "ops": ["extrac"]}, "$.steps[0].ops[0]", "'extrac' is not one of"),
        ({**CURATE, "ops": [{"language": {"kep": "en"}}]}, "$.steps[0].ops[0].language", "'kep'"),
        (
            {**CURATE, "ops": [{"rules": {"set": "gopher_quality", "min_word": 3}}]},
            "$.steps[0].ops[0].rules",
            "'min_word' was unexpected",
        ),
        ({**CURATE, "from": {"warcs": "x"}}, "$.steps[0].from", "not valid"),
        ({"name": "b", "use": "minhash"}, "$.steps[0].use", "not valid"),
        ({"use": "curate", "from": "a"}, "$.steps[0]", "'name' is a required property"),
        ({"repeat": {"time": 2, "steps": []}}, "$.steps[0].repeat", "'time' was unexpected"),
    ],
)
def test_it_marks_what_is_wrong(step: dict[str, Any], where: str, says: str) -> None:
    found = problems({"steps": [step]})
    assert any(path == where and says in message for path, message in found), found


def test_it_names_every_step_and_op_and_describes_their_fields() -> None:
    parts = recipe_schema()["$defs"]
    assert {f"step.{name}" for name in step_names()} <= set(parts)
    assert {f"op.{name}" for name in op_names()} <= set(parts)
    assert parts["step.minhash_dedup"]["properties"]["ngram"]["description"] == "words a shingle"


def test_comments_behind_fields_of_several_lines_are_theirs() -> None:
    from curation.decontam.step import Decontaminate

    assert "looked for whole" in field_comments(Decontaminate)["min_words"]
