"""Plans of what `use: mixture` makes: stages, ramps, injections; every row as the files say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gristmill.store import Store
from mixtures.blend.step import Mixture
from mixtures.plan import open_plan
from mixtures.plan.seen import seen
from tests.mixtures.make_plan import expected
from tests.mixtures.make_tokens import MakeTokens
from tests.run_step import InProcess, run_step


def build(step: Any, store: Store) -> None:
    run_step(step, store, executor=InProcess())  # type: ignore[arg-type]


@pytest.mark.parametrize("pack", ["best_fit", "concat", "one_per_row"])
@pytest.mark.parametrize("attention", ["document", "row"])
def test_every_row_is_what_its_files_say(tmp_path: Path, pack: str, attention: str) -> None:
    store = Store(tmp_path)
    for seed, name in enumerate(["web", "news", "facts"]):
        made = {"documents": (150, 250, 4)[seed], "prefix": name, "seed": seed, "mask": seed == 1}
        build(MakeTokens(name=f"tokens/{name}", use="make", **made), store)
    settings = {
        "sources": {"web": "tokens/web", "news": "tokens/news"},
        "budget": 7000,
        "shape": [{"seq": 32, "batch": 4}, {"at": 0.5, "seq": 64, "batch": 8}],
        "stages": [{"at": 0.7, "weights": {"given": {"web": 0.25, "news": 0.75}}}],
        "weights": "uniform",
        "inject": [{"from": "tokens/facts", "every": 1000, "times": 4}],
        "pack": pack,
        "attention": attention,
    }
    build(Mixture.model_validate({"name": "mix", "use": "mixture", **settings}), store)
    plan = open_plan(store, "mix")
    rows = expected(plan)
    assert len(plan) == len(rows) and {row["source"] for row in rows} == {0, 1, 2}
    for position, row in enumerate(rows):
        item = plan[position]
        assert {name: np.asarray(value).tolist() for name, value in item.items()} == row
    for per_step in (1, 2, 4):
        micro = plan.micro_batches(per_step)
        seen = np.concatenate([micro[number]["row"] for number in range(len(micro))])
        assert len(seen) == len(plan) - micro.left_out


def test_a_recipe_that_was_run_before_is_its_own_mixture_again(tmp_path: Path) -> None:
    """Attention and injected positions leave the shapes of the rows as they are."""
    store = Store(tmp_path)
    for name, size in (("web", 40), ("facts", 1)):
        build(MakeTokens(name=f"tokens/{name}", use="make", documents=size, prefix=name), store)

    def mixed(attention: str, at: float) -> str:
        settings = {
            "sources": {"web": "tokens/web"},
            "budget": 2000,
            "shape": {"seq": 32, "batch": 4},
            "attention": attention,
            "inject": [{"from": "tokens/facts", "at": [at]}],
        }
        build(Mixture.model_validate({"name": "mix", "use": "mixture", **settings}), store)
        plan = open_plan(store, "mix")
        assert plan.spec.attention == attention
        return plan.mixture

    asked = [("document", 0.25), ("row", 0.25), ("document", 0.75)]
    first = [mixed(*one) for one in asked]
    assert len(set(first)) == 3 and [mixed(*one) for one in asked] == first


def test_a_document_is_found_where_it_is_shown(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in ("web", "news"):
        build(MakeTokens(name=f"tokens/{name}", use="make", documents=30, prefix=name), store)
    settings = {
        "sources": {"web": "tokens/web", "news": "tokens/news"},
        "budget": 4000,
        "shape": {"seq": 32, "batch": 2},
        "weights": "uniform",
    }
    build(Mixture.model_validate({"name": "mix", "use": "mixture", **settings}), store)
    plan = open_plan(store, "mix")
    expected: dict[str, dict[tuple[str, int], list[int]]] = {}
    for position in range(len(plan)):
        place = plan.where(position)
        for id_, _, length in place.pieces:
            shown = expected.setdefault(id_, {}).setdefault((place.source, place.epoch), [])
            shown.append(length)
    ids = [*store["tokens/web"].to_table(["id"])["id"].to_pylist(), "nobody"]
    for id_, entries in seen(store, "mix", ids).items():
        tokens = {(e.source, e.epoch): e.tokens for e in entries}
        assert tokens == {key: sum(sizes) for key, sizes in expected.get(id_, {}).items()}
        assert all(0 < e.rows <= len(expected[id_][e.source, e.epoch]) for e in entries)
