"""From a swarm to weights by rows of `use: evaluate`, and from a run of a swarm to a mixture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gristmill.errors import GristmillError, RecipeError
from gristmill.store import Store
from mixtures.blend.step import Mixture
from mixtures.laws.loglinear import LogLinearLaw
from mixtures.weights.evaluations import pivoted
from mixtures.weights.fit import MixtureFit
from mixtures.weights.solver import solve_mixture
from mixtures.weights.swarm import MixtureSwarm
from pipelines.recipe import load_recipe
from tests.make_store import put
from tests.mixtures.make_tokens import put_tokens
from tests.run_step import InProcess, run_step
from train.evaluate.results import Score, score_table

SOURCES = {"de": 3e8, "en": 8e9, "sums": 1e9}
TARGETS = ["pages/de", "pages/en", "sums"]
LAW = LogLinearLaw(  # what each target gains from each source; sums are soon learnt
    np.log([1.5, 1.2, 0.4]), np.array([[-2.5, 0.4, 0.9], [0.5, -0.8, 0.9], [1.0, 1.1, -9.0]])
)
RECIPE = """
steps:
  - repeat:
      times: 12
      as: run
      steps:
        - {name: "eval/${run}", use: evaluate, model: ./m, labels: {run: "${run}"}, tasks: [copy]}
  - {name: best, use: mixture_fit, mixtures: swarm, metrics: "eval/*", KEYS}
"""


def evaluation(values: dict[str, float], **labels: Any) -> pa.Table:
    """Rows as evaluate writes them, with scores that no law is fitted to among them."""
    tables = []
    for task in dict.fromkeys(name.partition("/")[0] for name in values):
        of = {name.partition("/")[2]: v for name, v in values.items() if name.startswith(task)}
        whole = np.mean(list(of.values()))
        scores = [
            Score(metric, scale * value, 10, "lower", source or "all")
            for metric, scale in (("loss", 7.0), ("bits_per_byte", 1.0))
            for source, value in {"": whole, **of}.items()
        ]
        scores.append(Score("chosen", 0.5, 5, "higher", length=64, depth=0.5))
        who = {"model": "m", "version": "0" * 12, "task": task}
        tables.append(score_table(scores, who, labels))
    return pa.concat_tables(tables)


def planted(store: Store) -> np.ndarray:
    """A swarm, and an evaluation of each of its runs by LAW, named by a number: its shares."""
    keys: dict[str, Any] = {"sources": SOURCES, "budget": 1e9}
    swarm = MixtureSwarm(name="swarm", use="mixture_swarm", **keys)
    run_step(swarm, store, executor=InProcess())
    table = store["swarm"].to_table()
    shares = np.column_stack([table[name].to_numpy() for name in SOURCES])
    for run, losses in enumerate(LAW.loss(shares).tolist(), 1):
        rows = evaluation(dict(zip(TARGETS, losses, strict=True)), run=run)
        put(store, f"eval/{run}", {"": ("rows", [rows])})
    return shares


def fitted(store: Store, folder: Path, keys: str = "kl: 0.05") -> dict[str, float]:
    (folder / "r.yaml").write_text(RECIPE.replace("KEYS", keys))
    *_, step = load_recipe(folder / "r.yaml").steps
    run_step(step, store, executor=InProcess())
    rows = store["best"].to_table().to_pylist()
    return {row["source"]: row["weight"] for row in rows}


def test_evaluations_of_a_planted_law_give_its_optimum(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    shares = planted(store)
    weights = fitted(store, tmp_path)
    tokens = np.array(list(SOURCES.values()))
    caps = np.minimum(np.minimum(4 * tokens / 1e9, 1), shares.max(axis=0))
    exact = solve_mixture(LAW.t, tokens / tokens.sum(), caps).weights
    assert list(weights.values()) == pytest.approx(exact.tolist(), abs=0.005)
    laws = store["best"].output(".laws").to_table().to_pylist()
    assert [law["target"] for law in laws] == TARGETS
    assert min(law["spearman"] for law in laws) > 0.97
    assert weights["de"] > 5 * 3e8 / tokens.sum() and weights["sums"] < 0.5


def test_targets_are_chosen_by_name_and_by_metric(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    planted(store)
    fitted(store, tmp_path, "metric: loss, targets: {pages: 3, sums: 1}")
    laws = store["best"].output(".laws").to_table().to_pylist()
    assert {law["target"]: law["target_weight"] for law in laws} == {"pages": 0.75, "sums": 0.25}
    assert laws[1]["lowest_seen"] > 7 * np.exp(LAW.c[2])
    for keys, says in (
        ("targets: [pages/dee]", "targets has 'pages/dee'; did you mean 'pages/de'"),
        ("metric: bits", "metric is 'bits', which no evaluation has; known: bits_per_byte"),
    ):
        with pytest.raises(GristmillError, match=says):
            fitted(store, tmp_path, keys)


def test_evaluations_that_are_refused() -> None:
    values = {"pages/de": 1.0, "pages/en": 2.0}
    right = {"a": evaluation(values, run=1), "b": evaluation(values, run=2)}
    assert pivoted(right, "bits_per_byte", None).columns == ["pages/de", "pages/en"]
    cases = [
        ({"b": evaluation(values, run="01")}, "run '1' has a second bits_per_byte of pages"),
        ({"b": evaluation(values, seed=1)}, r"b has no column 'run'; .* `labels: \{run: 3\}`"),
        ({"b": pa.table({"run": [1], "loss": [2.0]})}, "b is no evaluation"),
    ]
    for wrong, says in cases:
        with pytest.raises(RecipeError, match=says):
            pivoted({**right, **wrong}, "bits_per_byte", None)
    who = {"model": "m", "version": "0" * 12, "task": "sums"}
    accuracy = score_table([Score("score", 0.5, 10, "higher")], who, {"run": 1})
    with pytest.raises(RecipeError, match="'score', of which higher is better"):
        pivoted({"a": accuracy}, "score", None)


def test_a_target_that_a_run_lacks_leaves_the_run_out(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    planted(store)
    rows = evaluation({"sums": 1.0}, run=5)
    put(store, "eval/5", {"": ("rows", [rows])}, config={"tasks": ["sums"]})
    fitted(store, tmp_path)
    notes = " ".join(store["best"].build()["notes"])
    assert "1 runs lack the value of a metric and are left out" in notes
    with pytest.raises(GristmillError, match="metrics is empty"):
        MixtureFit(name="best", use="mixture_fit", mixtures="swarm", metrics=()).check()


def mixture(store: Store, weights: Any) -> dict[str, float]:
    """The shares that a mixture asks for."""
    keys = {
        "sources": {"web": {"from": "tokens/web", "by": "topic"}, "code": "tokens/code"},
        "budget": "4K",
        "weights": weights,
        "shape": {"seq": 32, "batch": 5},
    }
    step = Mixture.model_validate({"name": "mix", "use": "mixture", **keys})
    step.check()
    run_step(step, store, executor=InProcess())
    rows = store["mix"].output(".report").to_table().to_pylist()
    return {row["source"]: row["requested"] for row in rows if row["stage"] == -1}


def test_a_mixture_takes_the_shares_of_a_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put_tokens(store, "tokens/web", documents=120, columns={"topic": ["art", "science"] * 60})
    put_tokens(store, "tokens/code", documents=40, prefix="c", seed=1)
    sources = {"web": {"from": "tokens/web", "by": "topic"}, "code": "tokens/code"}
    swarm = MixtureSwarm.model_validate(
        {"name": "swarm", "use": "mixture_swarm", "sources": sources, "max_epochs": 20}
    )
    run_step(swarm, store, executor=InProcess())
    row = store["swarm"].to_table().to_pylist()[2]
    assert row["run"] == "03"
    for run in (3, "03"):
        shares = mixture(store, {"swarm": {"from": "swarm", "run": run}})
        for name in ("web/art", "web/science", "code"):
            assert shares[name] == pytest.approx(row[name], abs=1e-9)
    assert "swarm swarm 03" in str(store["mix"].output(".report").to_table()["weights"][0])
    for run, says in (
        (13, r"has 12 runs, 1 to 12, and no run 13$"),
        ("x", "no run 'x'"),
    ):
        with pytest.raises(GristmillError, match=says):
            mixture(store, {"swarm": {"from": "swarm", "run": run}})
    with pytest.raises(GristmillError, match="no column 'run'"):
        mixture(store, {"swarm": {"from": "swarm.sources", "run": 1}})
