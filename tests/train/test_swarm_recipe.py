"""The shipped swarm, small: pages to proxies, to weights, to a model and a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.extras import needs

needs("torch", "transformers", "matplotlib")

from gristmill.progress import Progress  # noqa: E402
from gristmill.store import Store  # noqa: E402
from pipelines.inputs import resolve_inputs  # noqa: E402
from pipelines.plan import plan_recipe  # noqa: E402
from pipelines.recipe import load_recipe  # noqa: E402
from pipelines.run import run_step  # noqa: E402
from tests.run_step import RECIPES, InProcess  # noqa: E402

RECIPE = RECIPES / "train" / "swarm.yaml"
SMALL: dict[str, Any] = {
    "runs": 4,
    "sums": 300,
    "proxy_tokens": 1024,
    "tokens": 2048,
    "seeds": [1],
    "shape": [{"seq": 64, "batch": 4}],
    "model": {
        "model_type": "llama",
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
    },
    "swarm/bpe.vocab_size": 400,
    "swarm/held_out.budget": 3000,
}


def to_build(store: Store, settings: dict[str, Any]) -> set[str]:
    planned = plan_recipe(RECIPE, store=store, set=settings)
    return {step.name for step in planned if step.state != "built"}


@pytest.mark.slow
def test_one_recipe_leads_from_pages_to_fitted_weights_and_goes_on(
    shared_data: Path, tmp_path: Path
) -> None:
    settings = {**SMALL, "crawl": str(shared_data / "warc" / "trafilatura-00002.warc.gz")}
    store = Store(tmp_path)
    recipe, made = load_recipe(RECIPE, settings), dict[str, str]()
    names = {step.name for step in recipe.steps}
    assert to_build(store, settings) == names
    with Progress(quiet=True) as progress:
        for step in recipe.steps:
            inputs = resolve_inputs(step, store, made, names)
            made |= run_step(step, store, InProcess(), progress, inputs, recipe)
    weights = {row["source"]: row for row in store["swarm/fit"].to_table().to_pylist()}
    assert sorted(weights) == ["sums", "web/de", "web/en"]
    assert sum(row["weight"] for row in weights.values()) == pytest.approx(1)
    laws = store["swarm/fit"].output(".laws").to_table()
    assert laws["target"].to_pylist() == [f"held_out/{name}" for name in sorted(weights)]
    swarm = store["swarm/runs"].to_table().to_pylist()
    for run, row in enumerate(swarm, 1):
        report = store[f"swarm/proxy/mix/{run}"].output(".report").to_table().to_pylist()
        asked = {one["source"]: one["requested"] for one in report if one["stage"] == -1}
        assert asked == pytest.approx({name: row[name] for name in weights})
    report = store["swarm/mix/fitted-1"].output(".report").to_table().to_pylist()
    for row in report:
        assert row["requested"] == pytest.approx(weights[row["source"]]["weight"])
    arms = store["swarm/report"].to_table()["arm"].to_pylist()
    assert set(arms) == {"natural", "uniform", "fitted"}

    assert to_build(store, settings) == set()
    assert to_build(store, {**settings, "swarm/proxy/model/2.seed": 7}) == {
        *("swarm/proxy/model/2", "swarm/proxy/eval/2", "swarm/fit", "swarm/report"),
        *("swarm/mix/fitted-1", "swarm/models/fitted-1", "swarm/eval/fitted-1"),
    }
