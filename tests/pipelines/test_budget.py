"""Epochs at a budget: arithmetic on counts that a test can do by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.errors import GristmillError
from gristmill.store import Store
from mixtures.laws.repetition import effective_tokens
from pipelines.budget import at_budget
from tests.pipelines.pages import stores


@pytest.fixture
def store(tmp_path: Path) -> Store:
    stores.tokens(Store(tmp_path / "store"))  # 12,250 tokens: web 6,250, novels 6,000
    return Store(tmp_path / "store")


def test_the_whole_dataset(store: Store) -> None:
    (row,) = at_budget(store["tokens/web"], "49k")
    worth = round(float(effective_tokens(12_250, 49_000)))
    assert row == {
        "documents": 50,
        "tokens": 12_250,
        "budget": 49_000,
        "epochs": 4.0,
        "effective": worth,
    }
    (half,) = at_budget(store["tokens/web"], "6125")
    assert (half["epochs"], half["effective"]) == (0.5, 6_125)  # nothing is repeated


def test_groups_by_three_ways_of_spending(store: Store) -> None:
    web, novels = at_budget(store["tokens/web"], "60000", by="source")
    assert (web["source"], web["tokens"], web["share"]) == ("web", 6_250, 0.510204)
    assert web["epochs"] == novels["epochs"] == round(60_000 / 12_250, 4)
    assert (novels["uniform_epochs"], novels["alone_epochs"]) == (5.0, 10.0)
    assert novels["alone_effective"] == round(float(effective_tokens(6_000, 60_000)))
    assert (web["most"], novels["most"]) == (round(25_000 / 60_000, 6), 0.4)
    (only,) = at_budget(store["tokens/web"], "60000", by="source", top=1)
    assert only == web  # shares and equal parts are of all groups, listed or not


@pytest.mark.parametrize("budget", ["0", "many", "-5"])
def test_a_budget_is_a_number_of_tokens(store: Store, budget: str) -> None:
    with pytest.raises(GristmillError, match="budget"):
        at_budget(store["tokens/web"], budget)
