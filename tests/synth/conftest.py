"""Models that the tests of this room train themselves, once, and keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.extras import needs
from tests.synth.tiny import cache


@pytest.fixture(scope="session")
def tiny_writer(shared_data: Path) -> Path:
    """The folder of a language model that copies, adds, writes code (tests/synth/tiny)."""
    needs("torch", "transformers")
    return cache.writer_folder()


@pytest.fixture(scope="session")
def tiny_reward(shared_data: Path) -> Path:
    """The folder of a reward model that tells right sums from wrong ones."""
    needs("torch", "transformers")
    return cache.reward_folder()
