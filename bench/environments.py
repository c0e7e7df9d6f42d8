"""Makes the peers' environments in `.bench/`, from pinned requirements.

In: `bench/requirements/NAME.txt`. Out: `.bench/env-NAME`, remade when its requirements change.
Shown by: `python -m bench.environments`. Limit: pip's own configuration says where packages come
from; a peer that cannot be installed is reported, and its rows are left out of the table.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from bench.harness import BENCH

REQUIREMENTS = Path(__file__).parent / "requirements"


def make(name: str) -> str:
    """Make `.bench/env-NAME` unless it is there and current; returns what happened."""
    requirements = REQUIREMENTS / f"{name}.txt"
    home = BENCH / f"env-{name}"
    stamp = home / "requirements.blake2b"
    digest = hashlib.blake2b(requirements.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return "there"
    shutil.rmtree(home, ignore_errors=True)
    venv.create(home, with_pip=True)
    install = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
    done = subprocess.run([*install, "-r", str(requirements)], capture_output=True, text=True)
    if done.returncode:
        shutil.rmtree(home, ignore_errors=True)
        return f"failed: {done.stderr.strip()[-800:]}"
    stamp.write_text(digest)
    return "made"


def main() -> int:
    """Make every environment; the exit code says whether all are there."""
    outcomes = {path.stem: make(path.stem) for path in sorted(REQUIREMENTS.glob("*.txt"))}
    for name, outcome in outcomes.items():
        print(f"{name}: {outcome}")
    return int(any(outcome.startswith("failed") for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
