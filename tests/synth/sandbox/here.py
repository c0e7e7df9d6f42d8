"""The sandbox in tests: skipped where there is none, but never in CI."""

from __future__ import annotations

import os

import pytest

from synth.sandbox import available


def needs_sandbox() -> None:
    """Skip the module that calls this where programs cannot be run; in CI they fail instead."""
    reason = available()
    if reason and os.environ.get("CI") != "true":
        pytest.skip(reason, allow_module_level=True)
