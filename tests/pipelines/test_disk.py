"""A full disk and a read-only store: a clear error, nothing lost, and the same command goes on.

Runs in a mount namespace of its own (util-linux `unshare`): nothing outside sees the mounts.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.demo.generate import generate
from tests.run_step import RECIPES, run_recipe

pytestmark = pytest.mark.slow

# A disk that grows a little after each failure, until the recipe is through; then it is read-only.
SCRIPT = """
import json, subprocess, sys
from pathlib import Path
from gristmill.errors import GristmillError
from tests.run_step import RECIPES, run_recipe

store, settings = Path(sys.argv[1]), json.loads(sys.argv[2])

def remount(options):
    subprocess.run(["mount", "-o", "remount," + options, str(store)], check=True)

def build(into, settings):
    try:
        return run_recipe(RECIPES / "fineweb.yaml", into, settings, workers=2)
    except GristmillError as error:
        return str(error)

remount("ro")
told = [build(store, settings)]
for size in range(60, 4000, 70):
    remount(f"rw,size={size}k")
    made = build(store, settings)
    if not isinstance(made, str):
        break
    told.append(made)
remount("ro")
again = build(store, settings)
told.append(build(store, {**settings, "languages": ["de"]}))
print(json.dumps([made, again, told]))
"""


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, object]:
    truth = generate(tmp_path / "demo", seed=4, pages=200)
    return {"crawl": truth.crawl, "against": [str(truth.benchmark)]}


def in_namespace(store: Path, settings: dict[str, object]) -> subprocess.CompletedProcess[str]:
    allowed = shutil.which("unshare") and subprocess.run(["unshare", "-rm", "true"], check=False)
    if not allowed or allowed.returncode:
        missing = "no mount namespaces here: unshare (util-linux) is not installed or not allowed"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    store.mkdir()
    command = f'mount -t tmpfs -o size=60k tmpfs "{store}" && exec "$@"'
    arguments = [sys.executable, "-c", SCRIPT, str(store), json.dumps(settings)]
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", command, "sh", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_disk_that_fills_again_and_again_and_a_read_only_one(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    done = in_namespace(tmp_path / "disk", settings)
    assert done.returncode == 0, done.stderr
    made, again, told = json.loads(done.stdout)
    read_only, *full, other = told
    assert made == run_recipe(RECIPES / "fineweb.yaml", tmp_path / "store", settings, workers=2)
    assert again == made  # what is built is found on a store that cannot be written
    assert "cannot write to the store" in read_only and "--store" in read_only
    assert "cannot write to the store" in other
    print(f"\nthe disk was full {len(full)} times")
    assert len(full) > 5
    for message in full:
        assert "disk is full" in message or "No space left" in message
        assert "the same command" in message and "Traceback" not in message
