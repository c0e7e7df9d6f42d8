"""What tests of rows share."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with a tokenizer of chats."""
    from tests.train.data.make_rows import put_tokenizer  # asks for torch, as the tests do

    found = Store(tmp_path / "store")
    put_tokenizer(found)
    return found
