"""Every recipe has a card with a command that loads; every op and its fields are in the pages."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.recipe import load_recipe, parse_set
from synth import ops
from synth.calls import REASONS
from synth.ops import FAMILIES, op_class, parse_op
from synth.prompt import HOME as PROMPTS
from synth.prompt import load_prompt
from synth.step import Synthesize
from tests.conftest import ROOT
from tests.synth.recipes.building import HOME

DOCS = ROOT / "docs" / "synth"
RECIPES = sorted(path.stem for path in HOME.glob("*.yaml"))


def section(page: str, name: str) -> str:
    """The text under `## name`."""
    text = (DOCS / page).read_text()
    found = re.search(rf"^## {re.escape(name)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found, f"{page} has no section {name!r}"
    return found[1]


@pytest.mark.parametrize("name", RECIPES)
def test_a_card_has_all_parts_and_its_commands_load(name: str) -> None:
    card = section("recipes.md", name)
    for part in ("input", "parameters", "filters", "output", "source"):
        assert f"| {part} |" in card, f"card {name}: {part}"
    assert "| prompt |" in card or name == "procedural"
    for command in re.findall(r"^gristmill run (.*)$", card, re.MULTILINE):
        words = shlex.split(command)
        assert words[0] == f"pipelines/recipes/synth/{name}.yaml"
        pairs = [value for flag, value in pairwise(words) if flag == "--set"]
        assert load_recipe(ROOT / words[0], parse_set(pairs)).steps


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_runs_with_a_model_and_a_source(name: str) -> None:
    path = HOME / f"{name}.yaml"
    head = path.read_text()
    assert re.search(rf"gristmill run pipelines/recipes/synth/{name}\.yaml", head)
    recipe = load_recipe(path)
    assert recipe.name == name
    flows = [step for step in recipe.steps if isinstance(step, Synthesize)]
    for step in flows:
        for op in ops.every(step.do):
            op.check()
            assert set(op.engines()) <= set(step.engines)
    for profile in yaml.safe_load(head).get("profiles") or {}:
        assert load_recipe(path, profile=profile).steps


def test_every_prompt_is_used_by_a_recipe_and_every_card_is_linked() -> None:
    written = "\n".join(path.read_text() for path in HOME.glob("*.yaml"))
    spare = {"compare"}  # the default of score.pairwise
    for path in PROMPTS.glob("*.md"):
        assert re.search(rf"\b{path.stem}\b", written) or path.stem in spare, path.name
    page = (DOCS / "recipes.md").read_text()
    assert all(f"[{name}](#{name})" in page for name in RECIPES)


def test_prompts_end_with_what_differs() -> None:
    """The document stands last: what is the same for all rows is computed once."""
    for path in PROMPTS.glob("*.md"):
        ((_, part),) = load_prompt(path.stem).sections
        if {"text", "document", "persona"} & part.names:
            assert len(part.text) - part.text.rindex("{{ ") < 40, path.name


@pytest.mark.parametrize("name", sorted(ops._HOME))
def test_every_op_and_field_is_named(name: str) -> None:
    text = section("ops.md", name)
    for key, field in op_class(name).model_fields.items():
        assert f"`{field.alias or key}`" in text, f"docs/synth/ops.md, {name}: {key}"
    examples: list[Any] = [yaml.safe_load(t) for t in re.findall(r"```yaml\n(.*?)```", text, re.S)]
    assert examples
    for (entry,) in examples:
        assert parse_op(entry).NAME == name
    family, _, kind = name.partition(".")
    assert not kind or family in FAMILIES


def test_every_reason_is_told() -> None:
    text = section("README.md", "Failures")
    assert all(f"| `{reason}` |" in text for reason in REASONS)


def test_the_ops_of_the_page_run(tmp_path: Path) -> None:
    """What the page on synthetic data adds: a parser, a scorer, an op that asks."""
    before = dict(ops._OPS.known)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "README.md").read_text(), re.S)
    try:
        for block in blocks[1:]:
            exec(block, {"__name__": "of_the_page"})
        from synth.compose import run_flow

        script = {"Write": "# A title\n12 rivers", "question": "Yes."}
        result = run_flow(
            [{"id": "a"}],
            [
                {"prompt": {"user": "Write."}},
                "sample",
                {"parse": {"title": "heading"}},
                {"score": "digits"},
                {"score": "asks"},
                {"select": {"pass": {"digits": 2, "asks": True}}},
                {"emit": {"columns": ["heading", "digits"]}},
            ],
            {"main": {"fake": {"script": script}}},
        )
    finally:
        for added in ops._OPS.known.keys() - before.keys():
            del ops._OPS.known[added]
    assert [(row["heading"], row["digits"]) for row in result.rows] == [("A title", 2)]


def test_the_flow_of_the_page_runs(tiny_writer: Path) -> None:
    block = re.findall(r"```python\n(.*?)```", (DOCS / "README.md").read_text(), re.S)[0]
    seen: dict[str, Any] = {}
    exec(block.replace("models/tiny", str(tiny_writer)), seen)
    assert {row["state"] for row in seen["result"].ledger} <= {"kept", "failed"}
    assert len(seen["result"].ledger) == 2
