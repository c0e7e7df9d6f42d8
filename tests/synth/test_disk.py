"""A full disk: a clear error, no answer of the log lost, and the same command goes on.

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

from tests.synth.test_kills import ROOT, build, recipe

pytestmark = pytest.mark.slow

# A disk that grows a little after each failure, until the build is through.
SCRIPT = """
import json, subprocess, sys
from pathlib import Path
from gristmill.errors import GristmillError
from synth.engines.fake import requests_made
from tests.synth.test_kills import build, flushed, recipe

store, record = Path(sys.argv[1]), Path(sys.argv[2])
step = recipe(5, record, 400, 0.0)
told, again = [], 0
for size in range(40, 4000, 60):
    subprocess.run(["mount", "-o", f"remount,size={size}k", str(store)], check=True)
    known, before = flushed(store), len(requests_made(record))
    try:
        made = build(str(store), step)
    except GristmillError as error:
        told.append(str(error))
        made = None
    again += len(known & set(requests_made(record)[before:]))
    if made:
        break
print(json.dumps([made, told, again]))
"""


def test_a_disk_that_fills_again_and_again(tmp_path: Path) -> None:
    allowed = shutil.which("unshare") and subprocess.run(["unshare", "-rm", "true"], check=False)
    if not allowed or allowed.returncode:
        missing = "no mount namespaces here: unshare (util-linux) is not installed or not allowed"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    store = tmp_path / "disk"
    store.mkdir()
    command = f'mount -t tmpfs -o size=40k tmpfs "{store}" && exec "$@"'
    arguments = [sys.executable, "-c", SCRIPT, str(store), str(tmp_path / "made")]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", command, "sh", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    made, told, again = json.loads(done.stdout.splitlines()[-1])
    assert made == build(str(tmp_path / "whole"), recipe(5, None, 400, 0.0))
    assert told and all("disk is full" in one or "free space" in one for one in told), told
    assert again == 0
