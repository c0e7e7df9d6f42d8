"""Attacks: no program gets out, takes more than it may, or leaves anything behind.

`python -m synth.sandbox` runs the same list on any machine and prints a table.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from synth.sandbox import Limits, bubblewrap
from synth.sandbox.attacks import ATTACKS, attack
from tests.conftest import ROOT
from tests.synth.sandbox.here import needs_sandbox

needs_sandbox()

# Drops to nobody after the imports, for an interpreter that nobody could start; the sandbox then
# uses one that everybody can.
AS_NOBODY = """
import os, sys
from synth.sandbox import available, bubblewrap
from synth.sandbox.attacks import ATTACKS, attack
os.setgroups([]); os.setgid(65534); os.setuid(65534)
os.environ.clear(); os.chdir("/")
bubblewrap.interpreter = lambda: sys.argv[1]
sys.version = sys.argv[2]
reason = available()
if reason:
    sys.exit(reason)
broken = [f"{name}: {found.breaches}" for name in ATTACKS if (found := attack(name)).breaches]
print("attacked", len(ATTACKS), broken)
"""


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack(name: str) -> None:
    result = attack(name)
    assert not result.breaches, result.outcome


def test_attempts_fail_for_the_reason_that_they_should() -> None:
    """A typing mistake in an attack must not pass for a wall."""
    for name in ATTACKS:
        if "attempt" in ATTACKS[name][0]:
            lines = attack(name).outcome.stdout.splitlines()
            assert lines or name == "signals"
            wrong = ("NameError", "TypeError", "AttributeError", "KeyError", "SyntaxError")
            assert not [line for line in lines if any(f": {word}" in line for word in wrong)]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="we are a plain user already: all tests ran as one")
def test_the_same_as_a_plain_user() -> None:
    python = bubblewrap.interpreter()
    if not all(folder.stat().st_mode & 1 for folder in Path(python).parents):
        python = os.path.realpath("/usr/bin/python3")
    if not os.path.exists(python):
        pytest.skip("no interpreter that everybody may start")
    show = [python, "-c", "import sys; print(sys.version)"]
    version = subprocess.run(show, capture_output=True, text=True, check=True).stdout.strip()
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, python, version],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    if "namespaces" in done.stderr:
        pytest.skip(done.stderr[-300:])
    assert done.stdout == f"attacked {len(ATTACKS)} []\n", done.stderr


def test_the_table_for_users(capsys: pytest.CaptureFixture[str]) -> None:
    from synth.sandbox import __main__

    some = {name: ATTACKS[name] for name in ("DNS", "infinite loop")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(__main__, "ATTACKS", some)
        assert __main__.main() == 0
    printed = capsys.readouterr().out
    assert "stopped: time" in printed
    assert printed.count("held") == 2


def test_the_page_names_every_attack_and_limit() -> None:
    page = (ROOT / "docs" / "sandbox.md").read_text()
    assert not [name for name in ATTACKS if f"| {name} |" not in page]
    assert not [name for name in Limits.model_fields if f"| `{name}` |" not in page]
