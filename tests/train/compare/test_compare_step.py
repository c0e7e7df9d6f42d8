"""The step: evaluations of several arms become verdicts, a table and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.extras import needs

needs("matplotlib")

from gristmill.errors import GristmillError  # noqa: E402
from gristmill.store import Store  # noqa: E402
from pipelines.recipe import load_recipe  # noqa: E402
from tests.make_store import put  # noqa: E402
from tests.run_step import InProcess, run_step  # noqa: E402
from train.compare.step import Compare  # noqa: E402
from train.evaluate.results import Score, score_table  # noqa: E402

ARMS = {"raw": 0.0, "clean": -0.2, "shuffled": 0.0}  # what each changes of the loss


def put_evals(store: Store, seeds: int = 4) -> list[str]:
    """Evaluations with a planted difference of one arm; the noise of a seed is common to arms."""
    random, names = np.random.default_rng(3), []
    common = random.normal(0, 0.3, seeds)
    for arm, planted in ARMS.items():
        for seed in range(seeds):
            own = random.normal(0, 0.02)
            scores = [
                Score("loss", 3 + planted + common[seed] + own, 10, "lower", source)
                for source in ("all", "web")
            ]
            scores.append(Score("chosen", 0.5, 10, "higher", length=64))
            scores.append(Score("chosen", 0.5, 5, "higher", length=64, depth=0.5))
            who = {"model": f"models/{arm}-{seed}", "version": "0" * 12, "task": "held_out"}
            table = score_table(scores, who, {"arm": arm, "seed": seed})
            names.append(f"eval/{arm}-{seed}")
            put(store, names[-1], {"": ("rows", [table])})
            log = pa.table({"step": [1, 2], "loss": [4.0, 3.0 + planted], "tokens": [10, 20]})
            put(store, f"models/{arm}-{seed}", {"": ("rows", [log]), ".log": ("rows", [log])})
    return names


def built(store: Store, **keys: Any) -> list[dict[str, Any]]:
    step = Compare.model_validate({"name": "report", "use": "compare", "control": "raw", **keys})
    step.check()
    run_step(step, store, executor=InProcess())
    return store["report"].to_table().to_pylist()


def test_the_planted_arm_is_better_and_the_other_within_noise(tmp_path: Path) -> None:
    store = Store(tmp_path)
    rows = built(store, evals=put_evals(store), curves=["models/raw-0", "models/clean-0"])
    of = {(row["arm"], row["source"]): row for row in rows if row["metric"] == "loss"}
    assert of["clean", "web"]["verdict"] == of["clean", "web"]["verdict_holm"] == "better"
    assert of["shuffled", "web"]["verdict"] == "within noise"
    assert of["raw", "all"]["verdict"] == "control" and of["raw", "all"]["difference"] is None
    assert of["clean", "all"]["difference"] == pytest.approx(-0.2, abs=0.05)
    assert of["clean", "all"]["low"] < -0.2 < of["clean", "all"]["high"]
    chosen = [row for row in rows if row["metric"] == "chosen"]
    assert {row["verdict"] for row in chosen} == {"control", "within noise"}
    assert {row["length"] for row in chosen} == {64}  # cells of the heat map are left out
    build = store["report"].build()
    assert build["facts"]["comparisons"] == 6
    assert "within noise" in build["facts"]["table"]
    assert any("6 comparisons with raw" in note for note in build["notes"])
    pictures = store["report"].output(".pictures").path
    for name in ("differences.png", "curves.png"):
        assert (pictures / name).read_bytes().startswith(b"\x89PNG")


def test_arms_may_be_listed_and_metrics_chosen(tmp_path: Path) -> None:
    store = Store(tmp_path)
    names = put_evals(store)
    runs = {arm: [name for name in names if f"/{arm}-" in name] for arm in ("raw", "clean")}
    rows = built(store, runs=runs, metrics="loss", sources="all")
    assert [(row["arm"], row["metric"], row["n"]) for row in rows] == [
        ("raw", "loss", 4),
        ("clean", "loss", 4),
    ]


def test_two_seeds_are_warned_of(tmp_path: Path) -> None:
    store = Store(tmp_path)
    built(store, evals=put_evals(store, seeds=2))
    assert any("fewer than 3 seeds" in note for note in store["report"].build()["notes"])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"control": "row"}, "did you mean 'raw'"),
        ({"metrics": "los"}, "did you mean 'loss'"),
        ({"by": "kind"}, "no column 'kind'"),
        ({"over": "task"}, "has a second"),
    ],
)
def test_mistakes_name_the_fix(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    store = Store(tmp_path)
    with pytest.raises(GristmillError, match=message):
        built(store, evals=put_evals(store), **keys)


def test_one_of_evals_and_runs_is_needed() -> None:
    with pytest.raises(GristmillError, match="needs one of"):
        Compare.model_validate({"name": "r", "use": "compare", "control": "raw"}).check()


def test_patterns_name_earlier_steps_in_their_order(tmp_path: Path) -> None:
    steps = """
steps:
  - grid:
      over: {arm: [raw, clean], seed: [1, 2]}
      steps:
        - {name: "eval/${arm}-${seed}", use: evaluate, model: ./m, tasks: [copy]}
  - {name: report, use: compare, evals: "eval/*", control: raw}
  - {name: lists, use: compare, runs: {raw: "eval/raw-*", clean: ["eval/clean-1"]}, control: raw}
"""
    (tmp_path / "r.yaml").write_text(steps)
    *_, report, lists = load_recipe(tmp_path / "r.yaml").steps
    assert isinstance(report, Compare) and isinstance(lists, Compare)
    assert report.evals == ("eval/raw-1", "eval/raw-2", "eval/clean-1", "eval/clean-2")
    assert lists.runs == {"raw": ("eval/raw-1", "eval/raw-2"), "clean": ("eval/clean-1",)}
    (tmp_path / "r.yaml").write_text(steps.replace('"eval/*"', '"evals/*"'))
    with pytest.raises(GristmillError, match=r"pattern 'evals/\*' matches no step before it"):
        load_recipe(tmp_path / "r.yaml")
