"""What transformers.TrainingArguments are told.

In: a job and its stage. Out: Arguments. Shown by: any `use: train`.
Limit: ranks share the weights on GPUs unless `run.shard` says otherwise; on a CPU, if it does.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from gristmill.errors import RecipeError
from gristmill.rng import derive_seed
from mixtures.plan.adapters import TRAINER
from train.job import Job
from train.kinds.stage import Stage
from train.shared_checks import check_shared
from train.spec import Run

TENSORBOARD = "tensorboard"  # a folder of the work folder, then beside the weights


class Arguments(TrainingArguments):  # type: ignore[misc]  # transformers is not read by mypy
    """Of a process that has one device.

    Where it sees several GPUs and is no rank, Trainer would copy the model to all of them
    (nn.DataParallel) and take as many micro-batches at a time.
    """

    @property
    def n_gpu(self) -> int:
        return min(1, super().n_gpu)


def on_cpu(job: Job) -> bool:
    """Whether the stage runs on the CPU."""
    device = job.step.run.device
    if device == "cuda" and not torch.cuda.is_available():
        raise RecipeError("run.device is 'cuda', and torch sees no GPU here; write auto or cpu")
    return device == "cpu" or not torch.cuda.is_available()


def sharded(job: Job) -> bool:
    """Whether each rank holds a part of the weights."""
    run = job.step.run
    if run.ranks == 1:
        return False
    return not on_cpu(job) if run.shard is None else run.shard


def stage_arguments(job: Job, stage: Stage) -> Arguments:
    """Those that follow from the recipe; the rest are Trainer's own."""
    step, run = job.step, job.step.run
    for name in run.log_to:
        if find_spec(name) is None:
            raise RecipeError(
                f"run.log_to has {name!r}, which is not installed; `pip install {name}`, or leave "
                "it out: the log and its picture are kept without it"
            )
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(Path(job.work) / TENSORBOARD)
    shards = sharded(job)
    if shards:
        check_shared(step)
    given = {
        **TRAINER,
        "output_dir": str(checkpoints(job)),
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": stage.batches.per_step // run.ranks,
        "max_steps": stage.batches.steps,
        "learning_rate": step.optim.lr,
        "max_grad_norm": step.optim.clip,
        "seed": derive_seed(step.seed, "train", step.name) % 2**31,
        "save_strategy": "no",  # train.loop.watch says when
        "ignore_data_skip": True,  # the items begin where the run goes on
        "logging_steps": 1,  # train.loop.watch writes each log_every-th
        "logging_nan_inf_filter": False,  # they end the run
        "report_to": "none",  # train.loop.loop adds them, behind what makes the line
        "project": "gristmill",  # trackio's; the run's name is the same when it goes on
        "run_name": f"{step.name} {Path(job.work).parent.name}",
        "disable_tqdm": True,
        "log_level": "error",
        "use_cpu": on_cpu(job),
        "bf16": step.model.dtype == "bfloat16",
        "torch_compile": run.compile,
        "gradient_checkpointing": run.checkpointing and not shards,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "ddp_backend": None if run.ranks == 1 else "gloo" if on_cpu(job) else "nccl",
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": not on_cpu(job),
        "fsdp": shards or None,
        "fsdp_config": _sharing(run) if shards else None,
    }
    return Arguments(**given)


def _sharing(run: Run) -> dict[str, Any]:
    """FSDP2, each layer a unit; each rank writes its part of a checkpoint."""
    return {
        "activation_checkpointing": run.checkpointing,
        "state_dict_type": "SHARDED_STATE_DICT",
    }


def checkpoints(job: Job) -> Path:
    """Where checkpoints lie."""
    return Path(job.work) / "checkpoints"
