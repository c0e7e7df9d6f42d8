"""Stages of kind rl over the tiny policy: a store, a job, a run in this process.

In: a folder and what the stage changes. Out: the trained model, its log, facts and notes.
Shown by: `python -m pytest tests/train/rl`. Limit: one process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from safetensors.torch import load_file

from gristmill.store import Store
from tests.make_store import put
from tests.run_step import InProcess, run_step
from tests.train import killed
from tests.train.data.make_rows import prepared, rows_folder
from tests.train.rl.tiny_policy import new_model, rows, save
from train.job import Job
from train.run import Made, run
from train.step import Train
from train.weights.step import Checkpoint

PROMPTS = "rows/prompts"


def put_prompts(store: Store, given: list[dict[str, Any]], name: str = PROMPTS) -> None:
    """Rows of kind prompt."""
    kept = [{key: row[key] for key in ("id", "prompt", "answer", "verifier")} for row in given]
    put(store, name, {"": ("prompt", [pa.Table.from_pylist(kept)])})


def put_model(store: Store, name: str, folder: Path) -> None:
    """A folder of weights as a version: an average of it alone."""
    entry = {"name": name, "use": "checkpoint", "average": {"of": [str(folder)]}}
    run_step(Checkpoint.model_validate(entry), store, executor=InProcess())  # type: ignore[arg-type]


def a_store(home: Path, count: int = 64, seed: int = 3, **sizes: Any) -> Store:
    """A store with prompts, and a policy with random weights in `home/policy`."""
    store = Store(home / "store")
    put_prompts(store, rows(count, seed))
    save(new_model(**sizes), home / "policy")
    return store


def a_stage(home: Path, **changes: Any) -> Train:
    """A short stage over them."""
    fields: dict[str, Any] = {
        "kind": "rl",
        "init": str(home / "policy"),
        "data": {"rows": PROMPTS, "batch": 4, "max_length": 64},
        "rollout": {"samples": 4, "max_tokens": 4},
        "optim": {"lr": 1e-3, "weight_decay": 0.0},
        "schedule": "constant",
        "run": {"threads": 1, "save_every": 1.0},
    }
    for name, value in changes.items():
        old = fields.get(name)
        merge = isinstance(old, dict) and isinstance(value, dict)
        fields[name] = old | value if merge else value  # type: ignore[operator]
    return Train.model_validate({"name": "models/rl", "use": "train", **fields})


def a_job(home: Path, store: Store, step: Train, work: str = "work") -> Job:
    """The stage's rows, tokenised, and its job."""
    inputs = {ref: store[ref].ref for ref in step.inputs()}
    phases, where = home / work / "phases", home / work / "run"
    where.mkdir(parents=True, exist_ok=True)
    prepared(store, step, phases)
    return Job(step, str(store.path), inputs, str(where), str(rows_folder(phases)))


def trained(home: Path, store: Store, step: Train, work: str = "work") -> Made:
    """Run the stage to its end."""
    return run(a_job(home, store, step, work), lambda _: None, lambda _: None)


def weights(made: Made) -> dict[str, torch.Tensor]:
    """Of the model that a stage left."""
    found: dict[str, torch.Tensor] = load_file(made.folder / "model.safetensors")
    return found


def apart(one: Made, other: Made) -> float:
    """The largest difference between the weights of two stages."""
    pairs = weights(one), weights(other)
    assert pairs[0].keys() == pairs[1].keys()
    return max(float((pairs[0][n] - pairs[1][n]).abs().max()) for n in pairs[0])


def killed_after(home: Path, store: Store, step: Train, steps: int) -> Made:
    """Run, be killed after so many steps, and go on."""
    job = a_job(home, store, step, "killed")
    killed.killed_after(job, steps)
    return run(job, lambda _: None, lambda _: None)
