"""Without a sandbox nothing runs, and the message says what to install."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gristmill.errors import RecipeError
from synth.sandbox import SandboxPool, available, bubblewrap, run
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    available.cache_clear()
    yield
    available.cache_clear()


def test_without_bubblewrap_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for start in (lambda: run("open('/tmp/ran', 'w')"), SandboxPool):
        with pytest.raises(RecipeError) as error:
            start()
        for command in ("apt-get install bubblewrap", "dnf install", "apk add", "pacman -S"):
            assert command in str(error.value)


def test_a_bubblewrap_that_fails_is_no_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program, text in (
        ("bwrap", "echo 'bwrap: No permissions to create new namespace' >&2\nexit 1"),
        ("setpriv", 'exec "$@"'),
    ):
        (tmp_path / program).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(RecipeError, match=r"No permissions to create new namespace.*--privileged"):
        run("print(1)")


def test_a_bubblewrap_that_isolates_nothing_is_no_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that only runs the command: it tells no status, so nothing it printed counts."""
    (tmp_path / "bwrap").write_text(
        '#!/bin/sh\nwhile [ "$1" != "--" ]; do shift; done\nexec "$@"\n'
    )
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert available() is not None


def test_another_machine_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "needs Linux" in str(available())


def test_an_old_kernel_for_a_plain_user(monkeypatch: pytest.MonkeyPatch) -> None:
    names = os.uname()
    old = os.uname_result((names.sysname, names.nodename, "5.4.0-1", names.version, names.machine))
    monkeypatch.setattr(os, "uname", lambda: old)
    monkeypatch.setattr(bubblewrap, "by_root", lambda: False)
    monkeypatch.setattr(bubblewrap, "bwrap", lambda: "/usr/bin/bwrap")
    assert "needs Linux 5.14" in str(available())


def test_the_command_says_why(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "synth.sandbox"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 2
    assert "install bubblewrap" in done.stderr
