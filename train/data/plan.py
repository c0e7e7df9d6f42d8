"""A mixture as micro-batches.

In: a job whose data is a mixture. Out: train.trainer.Batches of [b, seq] tensors, in tokens.
Shown by: any `use: train, kind: pretrain`. Limit: a step's batch must be a multiple of per_step.
"""

from __future__ import annotations

from functools import cached_property
from itertools import accumulate
from typing import Any

from mixtures.plan import Plan, open_plan
from mixtures.plan.adapters import model_inputs
from train.job import Job
from train.trainer import Batch


class PlanBatches:
    """The plan's micro-batches as tensors."""

    unit = "tokens"

    def __init__(self, plan: Plan, per_step: int) -> None:
        self.plan = plan
        self._micro = plan.micro_batches(per_step)
        self.per_step = per_step
        self.steps = self._micro.steps

    def __len__(self) -> int:
        return len(self._micro)

    def __getitem__(self, number: int) -> Batch:
        item = self._micro[number]
        found: Batch = model_inputs([item])
        found.pop("use_cache", None)
        return found

    @cached_property
    def _bounds(self) -> tuple[list[int], list[int]]:
        segments = self.plan.segments
        steps = [0, *accumulate(s.steps for s in segments)]
        tokens = [0, *accumulate(s.steps * s.batch * s.seq for s in segments)]
        return steps, tokens

    def before(self, step: int) -> int:
        steps, tokens = self._bounds
        for n, segment in enumerate(self.plan.segments):
            if step <= steps[n + 1]:
                return tokens[n] + (step - steps[n]) * segment.batch * segment.seq
        return tokens[-1]

    def named(self, step: int) -> list[str]:
        first = self._micro.position(step * self.per_step)
        last = self._micro.position((step + 1) * self.per_step)
        found: list[str] = []
        for position in range(first, last):
            place = self.plan.where(position)
            found += [f"row {position}: {place.source}/{id_}" for id_, _, _ in place.pieces]
        return found


def open_batches(job: Job, per_step: int | None = None) -> PlanBatches:
    """The job's mixture, each step in as many parts as `run.micro_batch` and `run.ranks` ask."""
    step = job.step
    assert isinstance(step.data, str)
    plan = open_plan(job.store, job.inputs[step.data])
    return PlanBatches(plan, per_step or parts(step.run.micro_batch, step.run.ranks, plan))


def parts(micro_batch: int | None, ranks: int, plan: Any) -> int:
    """Micro-batches a step: ranks times accumulation, so that none has more than `micro_batch`
    rows."""
    if micro_batch is None:
        return ranks
    batch = max(segment.batch for segment in plan.segments)
    each = -(-batch // ranks)
    accumulate = next(n for n in range(-(-each // micro_batch), each + 1) if each % n == 0)
    return ranks * accumulate
