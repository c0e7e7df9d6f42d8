"""Compiled kernels are kept in a directory that changes with the sources of any kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import gristmill.text

SOURCES = Path(gristmill.text.__file__).parent


def _cache_of(root: Path, **env: str) -> str:
    code = "import gristmill.text, os; print(os.environ['NUMBA_CACHE_DIR'])"
    clean = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=clean | {"PYTHONPATH": str(root)} | env,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_an_edit_of_any_kernel_changes_the_cache(tmp_path: Path) -> None:
    text = tmp_path / "gristmill" / "text"
    text.mkdir(parents=True)
    (text.parent / "__init__.py").touch()
    for name in ("__init__.py", "words.py", "simd.py"):
        shutil.copy(SOURCES / name, text)
    before = _cache_of(tmp_path)
    assert Path(before).parent == text / "__pycache__" and Path(before).is_dir()
    assert _cache_of(tmp_path) == before
    (text / "words.py").write_text((text / "words.py").read_text() + "\n# edited\n")
    assert _cache_of(tmp_path) != before
    assert _cache_of(tmp_path, NUMBA_CACHE_DIR="elsewhere") == "elsewhere"


def test_without_a_place_to_write(tmp_path: Path) -> None:
    text = tmp_path / "gristmill" / "text"
    text.mkdir(parents=True)
    (text.parent / "__init__.py").touch()
    shutil.copy(SOURCES / "__init__.py", text)
    (text / "__pycache__").write_text("a file where a directory would be")
    cache = _cache_of(tmp_path, XDG_CACHE_HOME=str(text / "__pycache__"), TMPDIR=str(tmp_path))
    assert Path(cache).parent == tmp_path
