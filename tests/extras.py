"""Tests of optional parts: skipped where their packages are absent, but never in CI."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest


def needs(*packages: str) -> None:
    """Skip the module that calls this, saying so, unless all packages are installed."""
    absent = [package for package in packages if find_spec(package) is None]
    if absent and os.environ.get("CI") != "true":
        message = f"{', '.join(absent)} not installed: `make extras` adds what these tests need"
        pytest.skip(message, allow_module_level=True)
