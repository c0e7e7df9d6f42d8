"""docs/synth/procedural.md: examples are what the commands draw, tables name what there is."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml

from synth.procedural.tasks import TASKS, parse_source, rows
from synth.verify import verifier_names
from synth.verify.checks import KINDS
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "synth" / "procedural.md").read_text()
EXAMPLES = re.findall(
    r"```sh\n(python -m synth\.procedural .*?)\n```\n\n```text\n(.*?)\n```", PAGE, re.S
)


def test_every_task_has_a_card_with_an_example() -> None:
    cards = re.findall(r"^## (\w+)$", PAGE, re.MULTILINE)
    shown = {shlex.split(command)[3] for command, _ in EXAMPLES}
    assert set(TASKS) <= set(cards) and set(TASKS) <= shown
    for name, task in TASKS.items():
        card = PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        for field in task.parameters.model_fields:
            assert f"`{field}`" in card, f"{name}: {field}"


@pytest.mark.parametrize("command, text", EXAMPLES, ids=[c.split(" ", 3)[3] for c, _ in EXAMPLES])
def test_examples_are_drawn(command: str, text: str) -> None:
    _, _, _, name, *pairs = shlex.split(command)
    given = {k: yaml.safe_load(v) for k, _, v in (pair.partition("=") for pair in pairs)}
    assert next(rows(name, 1, 0, **given))["text"] == text


def test_sources_load() -> None:
    found = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(from:.*?)```", PAGE, re.S)]
    assert found
    for block in found:
        parse_source(block["from"]["procedural"])


def test_verifiers_and_constraints_are_named() -> None:
    for name in (*verifier_names(), *KINDS):
        assert f"`{name}`" in PAGE, name
