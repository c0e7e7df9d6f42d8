"""One stage from its job to its files: open, go on or begin, train, average, save.

In: a job. Out: Made: the model's folder, the log, facts. Shown by: any `use: train`.
Limit: see the kinds; this is what they share.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from transformers import PreTrainedModel, set_seed

from gristmill.rng import derive_seed
from train.job import Job
from train.kinds import open_stage
from train.loop.loop import Loop
from train.models.experts import routing_facts
from train.models.open import Opened, open_model

OUT = "model"  # below the job's work folder


@dataclass(frozen=True)
class Made:
    """What a stage leaves."""

    folder: Path  # files of the version
    log: pa.Table
    facts: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def run(job: Job, advance: Callable[[int], None], say: Callable[[str], None]) -> Made:
    """Train a stage in this process (one rank of a gang, or the only one)."""
    here = job.step.run.ranks // job.step.run.nodes
    torch.set_num_threads(job.step.run.threads or max(1, (os.cpu_count() or 1) // here))
    set_seed(derive_seed(job.step.seed, "train", job.step.name) % 2**31)
    opened = open_model(job)
    stage = open_stage(job, opened)
    loop = Loop(job, stage, opened.tokenizer, advance, say)
    loop.train()
    folder = Path(job.work) / OUT
    finished = loop.finished()
    facts = {**opened.facts, **loop.facts()}
    if loop.first_rank:
        facts |= routing_facts(finished, stage.batches)
        save(finished, opened, folder)
        loop.beside(folder)
    return Made(folder, loop.log(), facts, [*loop.notes, *stage.notes()])


def save(model: PreTrainedModel, opened: Opened, folder: Path) -> None:
    """Weights, config and tokenizer as `from_pretrained` reads them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    opened.finish(model, folder).save_pretrained(folder)
    for name, content in opened.tokenizer.items():
        (folder / name).write_bytes(content)
