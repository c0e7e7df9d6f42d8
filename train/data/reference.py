"""Log-probabilities by the reference model, once before the first step, so that it need not stay.

In: a job, its examples, a model. Out: float32[rows, sequences]. Shown by: any `use: train, kind:
preference`. Limit: one file a rank in the job's work folder, written every _EVERY micro-batches; a
killed run goes on with what is there.

They are computed in the packing of the first epoch, so at the first step the ratio of policy and
reference is 0 exactly, where both are the same model.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist

from train.data.examples import Examples
from train.job import Job
from train.losses.sequences import all_logp

_EVERY = 256  # micro-batches between two writes
F32 = npt.NDArray[np.float32]


def reference_logp(
    job: Job, examples: Examples, open_model: Callable[[], Any], mask_formatting: bool
) -> F32:
    """Sums over the learnt tokens of each sequence; rows that the stage never takes are NaN."""
    folder = Path(job.work) / "reference"
    folder.mkdir(parents=True, exist_ok=True)
    shape = (len(examples.prepared), len(examples.prepared.meta.parts))
    rank, ranks = _rank()
    file = folder / f"{rank}-of-{ranks}.npy"
    found = _read(folder, shape)
    todo = [n for n in _items(examples) if np.isnan(found[_rows(examples, n)]).any()]
    todo = todo[rank::ranks]
    if todo:
        _compute(job, examples, todo, open_model(), found, file, mask_formatting)
    if ranks > 1:
        dist.barrier()
        found = _read(folder, shape)
    return found


def _compute(
    job: Job,
    examples: Examples,
    todo: list[int],
    model: Any,
    found: F32,
    file: Path,
    mask_formatting: bool,
) -> None:
    device = _device(job)
    was_training = model.training
    model.to(device).eval()
    half = job.step.model.dtype == "bfloat16"
    for done, number in enumerate(todo, 1):
        batch = {name: value.to(device) for name, value in examples[number].items()}
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
            sums = all_logp(model, batch, mask_formatting)
        found[batch["row"].cpu().numpy()] = sums.float().cpu().numpy()
        if done % _EVERY == 0 or done == len(todo):
            _write(file, found)
    model.train(was_training)


def _items(examples: Examples) -> list[int]:
    """The items of the first epoch, which have every row that the stage takes."""
    last = min(len(examples.prepared), examples.before(examples.steps))
    return [n for n in range(len(examples)) if examples.span(n)[0] < last]


def _rows(examples: Examples, number: int) -> npt.NDArray[np.int64]:
    first, end, _ = examples.span(number)
    return examples.rows(first, end)


def _read(folder: Path, shape: tuple[int, int]) -> F32:
    """What any rank of this run or an earlier one has written."""
    found = np.full(shape, np.nan, np.float32)
    for file in sorted(folder.glob("*.npy")):
        there = np.load(file)
        if there.shape == shape:
            found = np.where(np.isnan(found), there, found)
    return found


def _write(file: Path, found: F32) -> None:
    """Whole or not at all."""
    temporary = file.with_suffix(".tmp")
    with open(temporary, "wb") as out:
        np.save(out, found)
    os.replace(temporary, file)


def _rank() -> tuple[int, int]:
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def _device(job: Job) -> torch.device:
    if job.step.run.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
