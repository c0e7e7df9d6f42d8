"""The guides in docs/commands say what the commands do: same names, same options."""

from __future__ import annotations

import re
import shlex

import pytest
import typer.main

from pipelines.cli import app
from tests.conftest import ROOT

GUIDES = ROOT / "docs" / "commands"
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
OPTIONS = {
    name: {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    for name, command in COMMANDS.items()
}


def _calls(text: str) -> list[list[str]]:
    """The `gristmill …` lines of a guide's code blocks, as arguments."""
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if "gristmill " in line]
    calls = []
    for line in lines:
        if line.startswith("from ") or "import" in line.split("gristmill")[0]:
            continue  # Python
        words = shlex.split(line, comments=True)
        calls.append(words[words.index("gristmill") + 1 :])
    return calls


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_a_guide_that_shows_it(command: str) -> None:
    guide = (GUIDES / f"{command}.md").read_text()
    assert guide.startswith(f"# gristmill {command}\n")
    assert any(call[0] == command for call in _calls(guide))
    assert f"({command}.md)" in (GUIDES / "README.md").read_text()


def test_guides_name_only_what_there_is() -> None:
    for path in GUIDES.glob("*.md"):
        for call in _calls(path.read_text()):
            assert call[0] in COMMANDS, f"{path.name}: gristmill {call[0]}"
            until = next((i for i, w in enumerate(call) if w in {"|", ">", "<"}), len(call))
            used = {word.partition("=")[0] for word in call[1:until] if re.match("--?[a-z]", word)}
            assert used <= OPTIONS[call[0]] | {"-"}, f"{path.name}: {' '.join(call)}"
        for link in re.findall(r"\]\(([\w./-]+\.md)\)", path.read_text()):
            assert (path.parent / link).exists(), f"{path.name} links to {link}"
