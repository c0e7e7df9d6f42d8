"""A version that is files: what names it, what goes beside it, what commands say of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from gristmill.errors import StoreError
from gristmill.garbage import gc
from gristmill.query import Catalog
from gristmill.step import Output, Phase, Step, StepRun, Task, TaskContext
from gristmill.store import Store
from gristmill.verify import verify
from tests.run_step import InProcess, run_step

LOG = pa.schema([("step", pa.int64())])


class Model(Step):
    """Writes what a training step would: files that count, files beside them, rows of a log."""

    SAMPLED: ClassVar[bool] = True
    weights: str = "wt"
    curve: str = "c"
    extra: str = ""

    def outputs(self) -> dict[str, Output]:
        return {"": Output("model"), ".log": Output("rows")}

    def phases(self, run: StepRun) -> Iterator[Phase]:
        yield Phase("make", [Task("make", write, {"step": self})])


def write(ctx: TaskContext, step: Model) -> dict[str, Any]:
    folder = ctx.files()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text(step.weights)
    (folder / "training").mkdir()
    (folder / "training" / "curves.png").write_text(step.curve)
    if step.extra:
        (folder / step.extra).write_text("x")
    ctx.writer(".log", LOG).write(pa.table({"step": list(range(1, len(step.weights) + 1))}, LOG))
    return {}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def make(store: Store, **options: str) -> str:
    step = Model(name="models/base", use="model", **options)  # type: ignore[arg-type]
    return run_step(step, store, executor=InProcess())["models/base"]


def test_files_keep_their_names_and_lie_in_the_version(store: Store) -> None:
    make(store)
    dataset = store["models/base"]
    assert dataset.is_folder and dataset.rows == 0
    assert (dataset.path / "model.safetensors").read_text() == "wt"
    assert (dataset.path / "training" / "curves.png").read_text() == "c"
    assert not os.access(dataset.path / "config.json", os.W_OK) or os.geteuid() == 0
    assert store["models/base.log"].rows == 2
    assert [step["use"] for step in [dataset.build()]] == ["model"]


def test_only_what_the_model_is_names_the_version(store: Store) -> None:
    first = make(store)
    assert make(store, curve="another picture") == first
    assert make(store, weights="others") != first
    assert len(store.versions("models/base")) == 2


def test_verify_finds_a_changed_missing_or_added_file(store: Store) -> None:
    make(store)
    assert verify(store)[1] == []
    folder = store["models/base"].path

    def said() -> str:
        return " ".join(p.what for p in verify(store)[1] if p.level == "error")

    file = folder / "training" / "curves.png"
    os.chmod(file, 0o644)
    file.write_text("d")
    assert "curves.png: its bytes" in said()
    file.write_text("c")
    (folder / "training" / "more").write_text("")
    assert "training/more is not in the manifest" in said()
    (folder / "training" / "more").unlink()
    (folder / "config.json").unlink()
    assert "config.json is missing" in said()


def test_verify_recomputes_the_version(store: Store) -> None:
    make(store)
    path = store["models/base"].path / ".manifest.json"
    manifest = json.loads(path.read_text())
    manifest["shards"] = [s for s in manifest["shards"] if s["file"] != "model.safetensors"]
    (path.parent / "model.safetensors").unlink()
    path.chmod(0o644)
    path.write_text(json.dumps(manifest))
    assert any("its version is not the hash" in p.what for p in verify(store)[1])


@pytest.mark.parametrize("name", ["pytorch_model.bin", "optimizer.pt"])
def test_pickles_are_refused(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match=f"{name} is a pickle, which runs code"):
        make(store, extra=name)


def test_sql_and_scans_say_what_a_model_is(store: Store) -> None:
    make(store)
    with pytest.raises(StoreError, match=r"is a model, which has no rows.*models/base\.log"):
        Catalog(store).query('select * from "models/base"')
    with pytest.raises(StoreError, match="has no rows"):
        list(store["models/base"].scan())
    with pytest.raises(StoreError, match="has no rows"):
        store["models/base"].schema  # noqa: B018
    assert Catalog(store).query('select max(step) from "models/base.log"')[1] == [(2,)]
    assert [row[0] for row in Catalog(store).query("show tables")[1]] == ["models/base.log"]


def test_gc_takes_a_model_that_nothing_needs(store: Store) -> None:
    old = make(store)
    make(store, weights="others")
    folder = store.path / "models" / "base" / old
    assert folder.is_dir()
    gc(store, apply=True, superseded=True, days=-1)
    assert not folder.exists()
    assert (store["models/base"].path / "model.safetensors").read_text() == "others"
