"""The layers: imports run one way, and what needs no torch loads none."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STAGES = {"curation", "synth", "mixtures", "train"}
MAY_IMPORT = {
    "gristmill": set(),
    "curation": {"gristmill"},
    "synth": {"gristmill"},
    "mixtures": {"gristmill"},
    "train": {"gristmill", "mixtures", "synth"},
    "pipelines": {"gristmill", *STAGES},
}
ROOMS = [room for room in MAY_IMPORT if (ROOT / room).is_dir()]


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, `import_module("x.y")` with a literal included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    files = list((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        above = (imported(path) & set(MAY_IMPORT)) - MAY_IMPORT[room] - {room}
        assert not above, f"{path.relative_to(ROOT)} imports {sorted(above)}"


@pytest.mark.parametrize("module", ["gristmill", "curation", "pipelines.cli", "train.step"])
def test_importing_loads_no_torch(module: str) -> None:
    code = (
        f"import sys, {module}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_file_is_one_idea() -> None:
    """350 lines is where the house asks whether a file is still one idea."""
    long = {
        str(path.relative_to(ROOT)): lines
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 350
    }
    assert not long


def test_a_test_file_has_a_name_of_its_own() -> None:
    """pytest takes two files of one name in plain folders for one, and collects neither."""
    plain = [p for p in (ROOT / "tests").rglob("*.py") if not (p.parent / "__init__.py").exists()]
    names = [path.name for path in plain if path.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))
