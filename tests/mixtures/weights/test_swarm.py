"""mixture_swarm: which mixtures are drawn, what they respect, and where sizes come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gristmill.errors import GristmillError, RecipeError
from gristmill.store import Store
from mixtures.laws.loglinear import check_design
from mixtures.weights.runs import RESERVED
from mixtures.weights.swarm import SMALLEST, MixtureSwarm, design
from tests.mixtures.make_tokens import put_tokens
from tests.mixtures.planted import TOKENS
from tests.run_step import InProcess, run_step


def swarm(store: Store, **options: Any) -> dict[str, str]:
    step = MixtureSwarm(**{"name": "swarm", "use": "mixture_swarm", **options})
    step.check()
    return run_step(step, store, executor=InProcess())


def test_a_design_of_the_advised_size_determines_the_law() -> None:
    made = design(TOKENS, 54, max_epochs=15)
    assert made.shares.shape == (54, 17)
    assert np.allclose(made.shares.sum(axis=1), 1)
    assert check_design(made.shares) is None
    assert made.control[:2] == ["natural", "uniform"] and set(made.control[2:]) == {None}
    assert np.allclose(made.shares[0], TOKENS / TOKENS.sum())
    assert np.allclose(made.shares[1], 1 / 17)


def test_draws_respect_the_cap_and_leave_out_what_is_too_small() -> None:
    made = design(TOKENS, 256, max_epochs=8, seed=1)
    drawn = made.shares[2:]
    assert made.moved == 0
    assert (drawn <= made.caps + 1e-12).all()
    assert drawn[drawn > 0].min() >= SMALLEST
    assert (drawn == 0).mean() > 0.2  # weak strengths give sparse mixtures
    assert len(np.unique(drawn.round(3), axis=0)) == 254
    assert set(np.unique(made.strength[2:]).round(6)) == set(np.geomspace(0.1, 5, 15).round(6))


def test_the_seed_decides() -> None:
    first, again = design(TOKENS, 60, seed=4), design(TOKENS, 60, seed=4)
    assert (first.shares == again.shares).all()
    assert (design(TOKENS, 60, seed=5).shares[2:] != first.shares[2:]).any()
    assert (design(TOKENS, 90, seed=4).shares[:60] == first.shares).all()  # a swarm can grow


def test_tight_caps_are_met_by_moving_draws() -> None:
    sizes = [900.0, 90.0, 10.0]
    made = design(sizes, 30, budget=3900, max_epochs=4)
    assert made.moved > 0
    assert (made.shares[2:] <= made.caps + 1e-9).all()
    with pytest.raises(GristmillError, match=r"= 0\.8000 < 1"):
        design(sizes, 30, budget=5000, max_epochs=4)


def test_the_step_writes_runs_and_sources(tmp_path: Path) -> None:
    store = Store(tmp_path)
    swarm(
        store, sources={"web": 9e9, "news": "1e9", "maths": "0.2B"}, budget="10B", proxy_budget=1e8
    )
    table = store["swarm"].to_table()
    assert table.column_names == [*RESERVED, "web", "news", "maths"]
    assert table.num_rows == 12 and table["run"].to_pylist()[:3] == ["01", "02", "03"]
    rows = store["swarm"].output(".sources").to_table().to_pylist()
    assert [row["source"] for row in rows] == ["web", "news", "maths"]
    assert [row["tokens"] for row in rows] == [9_000_000_000, 1_000_000_000, 200_000_000]
    # a proxy draws from a hundredth of each source, so it repeats as the target does
    assert {row["subsample"] for row in rows} == {0.01}
    assert [row["subsample_tokens"] for row in rows] == [90_000_000, 10_000_000, 2_000_000]
    assert [row["cap"] for row in rows] == pytest.approx([1.0, 0.4, 0.08])
    for share, row in zip((0.3, 0.4, 0.08), rows, strict=True):
        target, proxy = share * 1e10 / row["tokens"], share * 1e8 / row["subsample_tokens"]
        assert target == pytest.approx(proxy)


def test_sizes_come_from_token_datasets(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put_tokens(store, "tokens/web", documents=20, columns={"topic": ["a", "b"] * 10})
    total = int(np.sum(store["tokens/web"].to_table()["count"].to_numpy()))
    sources = {
        "web": "tokens/web",
        "short": {"from": "tokens/web", "where": "count < 20"},
        "topic": {"from": "tokens/web", "by": "topic"},
        "books": 1e6,
    }
    swarm(store, sources=sources, max_epochs=400)
    rows = store["swarm"].output(".sources").to_table().to_pylist()
    seen = {row["source"]: row["tokens"] for row in rows}
    assert list(seen) == ["web", "short", "topic/a", "topic/b", "books"]
    assert seen["web"] == total == seen["topic/a"] + seen["topic/b"]
    assert 0 < seen["short"] < total
    with pytest.raises(RecipeError, match=r"source 'short'.* where count < 0 has no tokens"):
        swarm(store, sources=sources | {"short": {"from": "tokens/web", "where": "count < 0"}})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sources": {}}, "no sources"),
        ({"sources": {"web": 1e9}}, "nothing to mix"),
        ({"sources": {"web": 1e9, "run": 1e9}}, "source 'run': a column"),
        ({"sources": {"web": 1e9, "news": 0}}, "'news' has 0 tokens"),
        ({"runs": 3}, "a law of 3 sources needs at least 4 runs; 12 are advised"),
        ({"budget": 1e6, "proxy_budget": 1e7}, "proxy_budget 10,000,000 is above budget"),
        ({"proxy_budget": 1e12}, "above the 3,000,000,000 tokens of the sources"),
        ({"budget": 1e12}, r"= 0\.0120 < 1"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    sources = {"web": 1e9, "news": 1e9, "maths": 1e9}
    with pytest.raises(Exception, match=says):
        swarm(Store(tmp_path), **{"sources": sources, **options})


def test_few_runs_are_warned_of(tmp_path: Path) -> None:
    store = Store(tmp_path)
    swarm(store, sources={"web": 1e9, "news": 1e9, "maths": 1e9}, runs=6)
    assert "6 runs for 3 sources: 12 are advised" in str(store["swarm"].build()["notes"])
