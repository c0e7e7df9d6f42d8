"""Fixtures that every test may use."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
os.environ["PYTHONPATH"] = str(ROOT)  # worker processes find tests.toy_steps
# Threads of torch that wait spin, and take the cores of the tests and workers beside them: a flow
# over a model took five times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# `make test &` ignores Ctrl-C, and so would every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real pages and benchmarks, read in place; absent on a user's machine, required in CI."""
    path = Path(os.environ.get("GRISTMILL_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        message = f"test data not found at {path}; set GRISTMILL_TEST_DATA"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path
