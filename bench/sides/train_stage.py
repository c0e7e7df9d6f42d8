"""Training steps on one core: a bare PyTorch loop over random tokens, and a stage over a mixture.

In: a store with mixtures, a config of transformers. Out: tokens trained on a run.
Shown by: `python -m bench.train_loop`. Limit: the loop is given what a stage must work for: its
tokens lie in memory, it logs nothing and saves nothing.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from bench.worker import Job, scratch

SPEC = {"lr": 1e-3, "weight_decay": 0.1, "clip": 1.0}


class Reached(Exception):
    """The first micro-batch has come to the loss."""


def learner(config: dict[str, Any], device: str = "cpu") -> tuple[Any, Any, Any]:
    """A model, AdamW and a schedule: what a stage does to its weights, and nothing else."""
    import torch
    from torch.optim.lr_scheduler import LambdaLR
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config)).train().to(device)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=SPEC["lr"], betas=(0.9, 0.95), fused=True)
    return model, optimizer, LambdaLR(optimizer, lambda step: 1 - step / 1e6)


def open_bare(config: dict[str, Any], seq: int, batch: int, steps: int) -> Job:
    """Steps over random tokens."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    model, optimizer, schedule = learner(config)

    def run() -> dict[str, Any]:
        for _ in range(steps):
            tokens = torch.randint(0, config["vocab_size"], (batch, seq))
            logits = model(input_ids=tokens, use_cache=False).logits
            ahead = functional.pad(tokens[:, 1:], (0, 1), value=-100)
            loss = functional.cross_entropy(logits.flatten(0, 1), ahead.flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), SPEC["clip"])
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            loss.item()  # a loop looks at its loss
        return {"tokens": steps * batch * seq}

    return Job(run=run, packages=["torch", "transformers"])


def opened(
    store: str, mixture: str, config: dict[str, Any], dtype: str = "float32", **run: Any
) -> Any:
    """A stage's loop, ready to train."""
    from gristmill.store import Store
    from train.job import Job as StageJob
    from train.kinds import open_stage
    from train.loop.loop import Loop
    from train.models.open import open_model
    from train.step import Train

    given = {"name": "models/bench", "use": "train", "kind": "pretrain", "data": mixture}
    given |= {"init": {"config": {k: v for k, v in config.items() if k != "vocab_size"}}}
    given |= {"optim": SPEC, "model": {"dtype": dtype}}
    given |= {"run": {"threads": 1, "device": "cpu", "save_every": 0.999, **run}}
    step = Train.model_validate(given)
    refs = {ref: Store(store)[ref].ref for ref in step.inputs()}
    job = StageJob(step, store, refs, str(scratch("train-")))
    opened = open_model(job)
    stage = open_stage(job, opened)
    return Loop(job, stage, opened.tokenizer, lambda _: None, lambda _: None)


def open_stage_over(store: str, mixture: str, config: dict[str, Any]) -> Job:
    """A whole stage, its set-up apart; the log is written, and no checkpoint falls in."""
    import torch

    torch.set_num_threads(1)
    held: list[Any] = []

    def before() -> None:
        for loop in held:
            shutil.rmtree(loop.work, ignore_errors=True)
        held[:] = [opened(store, mixture, config)]

    def run() -> dict[str, Any]:
        loop = held[0]
        loop.train()
        return {"tokens": loop.facts()["tokens"]}

    return Job(run=run, before=before, packages=["torch", "transformers", "accelerate"])


def open_huge(store: str, config: dict[str, Any]) -> Job:
    """Everything that comes before the first forward pass, the step's micro-batches read."""
    import torch

    torch.set_num_threads(1)

    def reached(*_: Any) -> Any:
        raise Reached

    def run() -> dict[str, Any]:
        begin = time.perf_counter()
        loop = opened(store, "mix", config, micro_batch=8)
        loop.run.trainer.objective = reached
        seconds = time.perf_counter() - begin
        try:
            loop.train()
        except Reached:
            pass
        found = {"opened_s": seconds, "steps": loop.stage.batches.steps}
        shutil.rmtree(Path(loop.work), ignore_errors=True)
        return found

    return Job(run=run, packages=["torch", "transformers", "accelerate"])
