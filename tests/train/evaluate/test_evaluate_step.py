"""The step: models are measured, a label is a column, pictures are files, mistakes come early."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.extras import needs

needs("torch", "transformers", "matplotlib")

from gristmill.errors import GristmillError, TaskError  # noqa: E402
from gristmill.store import Store  # noqa: E402
from tests.make_store import put  # noqa: E402
from tests.run_step import InProcess, run_step  # noqa: E402
from tests.train.evaluate.make_bench import save_model  # noqa: E402
from train.evaluate.step import Evaluate  # noqa: E402

TASKS: list[Any] = [
    {"loss": "web/valid"},
    {"copy": {"lengths": [40], "samples": 2, "span": 8}},
]


def made(tmp: Path, **keys: Any) -> Evaluate:
    models = [str(tmp / name) for name in ("one", "two")]
    given = {"name": "eval/tiny", "use": "evaluate", "models": models, "threads": 1, "tasks": TASKS}
    return Evaluate.model_validate({**given, **keys})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    for seed, name in enumerate(("one", "two")):
        save_model(tmp_path / name, seed)
    place = Store(tmp_path / "store")
    columns = {"id": ["a", "b"], "text": ["Grain is ground.", "Flour is baked."]}
    empty = {name: ["", ""] for name in ("url", "date", "source")}
    put(place, "web/valid", {"": ("document", [pa.table({**columns, **empty})])})
    return place


def build(step: Evaluate, store: Store) -> dict[str, str]:
    step.check()
    return run_step(step, store, executor=InProcess())


def test_scores_samples_and_pictures(tmp_path: Path, store: Store) -> None:
    build(made(tmp_path, labels={"arm": "raw", "seed": 1}), store)
    rows = store["eval/tiny"].to_table().to_pylist()
    assert {row["model"] for row in rows} == {str(tmp_path / "one"), str(tmp_path / "two")}
    assert {(row["arm"], row["seed"]) for row in rows} == {("raw", 1)}
    asked = 'select count(*), sum(n) from "eval/tiny" where metric = $m and depth is null'
    assert store.sql(asked.replace("$m", "'bits_per_byte'")).fetchall() == [(2, 4)]
    samples = store["eval/tiny"].output(".samples").to_table().to_pylist()
    loss = [row for row in samples if row["task"] == "loss"]
    assert [row["item"] for row in loss] == ["a", "b"] * 2
    by_hand = sum(row["score"] for row in loss[:2]) / sum(row["tokens"] for row in loss[:2])
    (score,) = [r["value"] for r in rows if r["metric"] == "loss" and r["model"].endswith("one")]
    assert score == pytest.approx(by_hand)
    pictures = store["eval/tiny"].output(".pictures")
    names = [file.name for file in pictures.files]
    assert "loss-bits_per_byte.png" in names
    assert any(name.startswith("copy-") and name.endswith("one-whole.png") for name in names)
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in pictures.files)
    facts = store["eval/tiny"].build()["facts"]
    assert facts[str(tmp_path / "one")]["loss.loss"] == pytest.approx(score, abs=1e-6)


def test_the_same_step_gives_the_same_versions(tmp_path: Path, store: Store) -> None:
    first = build(made(tmp_path), store)
    other = Store(tmp_path / "other")
    table = store["web/valid"].to_table()
    put(other, "web/valid", {"": ("document", [table])})
    assert build(made(tmp_path), other) == first


def test_where_it_runs_does_not_count(tmp_path: Path) -> None:
    one = made(tmp_path, batch_tokens=64, device="cpu", threads=1)
    assert one.config() == made(tmp_path, threads=2).config()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"tasks": [{"los": "web/valid"}]}, "did you mean 'loss'"),
        ({"tasks": [{"loss": "a"}, {"loss": "b"}]}, "two tasks are named 'loss'"),
        ({"tasks": []}, "give a list"),
        ({"labels": {"task": "x"}}, "have a column of that name"),
        ({"model": "./x"}, "not both"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(
    tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(GristmillError, match=message):
        made(tmp_path, **keys).check()


def test_a_model_that_cannot_be_loaded_is_named(tmp_path: Path, store: Store) -> None:
    (tmp_path / "two" / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    with pytest.raises(TaskError, match=r"model '.*two' cannot be loaded"):
        build(made(tmp_path), store)


def test_rows_are_no_model(tmp_path: Path, store: Store) -> None:
    with pytest.raises(TaskError, match="not a model"):
        build(made(tmp_path, models=["web/valid"]), store)


def test_plan_needs_no_torch() -> None:
    program = (
        "import sys, train.evaluate.step as e, train.compare.step\n"
        "from train.evaluate.spec import parse_task, task_names\n"
        "[e.Evaluate, *map(__import__('train.evaluate.spec', fromlist=['x']).task_class,"
        " task_names())]\n"
        "bad = {'torch', 'transformers', 'matplotlib'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
