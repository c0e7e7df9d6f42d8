"""What a step costs: floating-point operations against the machine's peak, and memory.

In: a job, its model and row length. Out: utilisation a token a second; bytes. Shown by: the columns
`mfu` and `memory` of a stage's log. Limit: `mfu` is of mixtures on GPUs that train/machines.yaml
lists, and of models that train.models.sizes knows.
"""

from __future__ import annotations

import resource
import sys
from typing import Any

import torch

from train.data.plan import PlanBatches
from train.job import Job
from train.machines import machine
from train.models.sizes import sizes_of


def mfu_of_rate(job: Job, model: Any, batches: Any, device: torch.device) -> float | None:
    """Model FLOPs utilisation (PaLM, arXiv:2204.02311, appendix B) of one token a second."""
    if device.type != "cuda" or not isinstance(batches, PlanBatches):
        return None
    sizes, here = sizes_of(model.config.to_dict()), machine(job.step.run.machine)
    if sizes is None or not here.gpu:
        return None
    segments = batches.plan.segments
    tokens = sum(s.rows * s.seq for s in segments)
    flops = sum(sizes.flops(s.seq) * s.rows * s.seq for s in segments) / tokens
    return flops / (here.peak * job.step.run.ranks)


def memory(device: torch.device) -> int:
    """Most bytes so far: of the GPU's memory, or of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
