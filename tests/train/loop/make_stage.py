"""A small mixture of two sources with a ramp, and jobs over it: tiny Llamas, seconds a run."""

from __future__ import annotations

import multiprocessing
import random
from pathlib import Path
from typing import Any

from gristmill.store import Store
from mixtures.blend.step import Mixture
from tests.mixtures.make_tokens import MakeTokens
from tests.run_step import InProcess, run_step
from tests.train.loop.run_stage import run_stage
from train.job import Job
from train.run import OUT, Made, run
from train.step import Train

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "attention_dropout": 0.1,  # so that a run that goes on must have the same random numbers
    "tie_word_embeddings": True,
}
APART = multiprocessing.get_context("forkserver")
APART.set_forkserver_preload(["tests.train.loop.run_stage"])
ROOT = Path(__file__).resolve().parents[3]


def make_mixture(folder: Path) -> Store:
    """`mix`: 24 steps of 8 rows, of 32 tokens and then of 64; `mix/held`: a few rows more."""
    store = Store(folder)
    for seed, name in enumerate(("web", "news")):
        draw = random.Random(seed)  # of few words, so that something can be learnt
        texts = tuple(
            tuple(draw.choices(range(1, 40 + 40 * seed), k=draw.randint(2, 60))) for _ in range(300)
        )
        step = MakeTokens(name=f"tokens/{name}", use="make", texts=texts, prefix=name)
        run_step(step, store, executor=InProcess())  # type: ignore[arg-type]
    sources = {"web": "tokens/web", "news": "tokens/news"}
    for name, budget in (("mix", 8192), ("mix/held", 1024)):
        settings = {"sources": sources, "budget": budget, "weights": "uniform", "seed": len(name)}
        settings["shape"] = [{"seq": 32, "batch": 8}, {"at": 0.5, "seq": 64, "batch": 8}]
        mixture = Mixture.model_validate({"name": name, "use": "mixture", **settings})
        run_step(mixture, store, executor=InProcess())
    return store


def make_job(store: Store, work: Path, **changes: Any) -> Job:
    """A stage of pre-training; `changes` of its recipe."""
    given: dict[str, Any] = {
        "name": "models/tiny",
        "use": "train",
        "kind": "pretrain",
        "init": {"config": LLAMA},
        "data": "mix",
        "optim": {"lr": 1e-2},
        **changes,
    }
    given["run"] = {"threads": 1, "device": "cpu", **given.get("run", {})}
    step = Train.model_validate(given)
    step.check()
    work.mkdir(parents=True, exist_ok=True)
    refs = {ref: store[ref].ref for ref in step.inputs()}
    return Job(step, str(store.path), refs, str(work))


def finish(job: Job) -> Made:
    """Run a job in this process."""
    return run(job, lambda _: None, lambda _: None)


def finish_apart(job: Job, *how: str | int) -> int | None:
    """Run a job in a process of its own; its exit status, -9 where it was killed as asked.

    how: see run_stage. The processes are forked from one that has imported torch and run nothing.
    """
    process = APART.Process(target=run_stage, args=(job, *how))
    process.start()
    process.join()
    return process.exitcode


def weights(job: Job) -> bytes:
    """The bytes of the model that a job left."""
    return (Path(job.work) / OUT / "model.safetensors").read_bytes()
