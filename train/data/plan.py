"""A mixture as micro-batches.

In: a job whose data is a mixture. Out: train.trainer.Batches of [b, seq] tensors, in tokens.
Shown by: any `use: train, kind: pretrain`. Limit: a step's batch must be a multiple of per_step.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from itertools import accumulate
from math import gcd
from typing import Any

from gristmill.errors import RecipeError
from mixtures.plan import Plan, open_plan
from mixtures.plan.adapters import collate
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
        found: Batch = collate([self._micro[number]])
        return found

    @property
    def sources(self) -> list[str]:
        """Names of what `source` of a batch numbers."""
        return [source.name for source in self.plan.spec.sources]

    @cached_property
    def _bounds(self) -> tuple[list[int], list[int]]:
        segments = self.plan.segments
        steps = [0, *accumulate(s.steps for s in segments)]
        tokens = [0, *accumulate(s.steps * s.batch * s.seq for s in segments)]
        return steps, tokens

    def before(self, step: int) -> int:
        steps, tokens = self._bounds
        number = min(bisect_right(steps, step), len(self.plan.segments)) - 1
        segment = self.plan.segments[number]
        return tokens[number] + (step - steps[number]) * segment.batch * segment.seq

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
    rows, and every step of the plan is whole ones."""
    batches = sorted({segment.batch for segment in plan.segments})
    common = gcd(*batches)
    if common % ranks:
        raise RecipeError(
            f"run.ranks is {ranks}: the mixture's steps have {batches} rows, which must be equal "
            f"parts; choose a divisor of {common}, or another batch in the mixture's shape"
        )
    if micro_batch is None:
        return ranks
    each = common // ranks
    fewest = -(-max(batches) // ranks // micro_batch)
    accumulate = next((n for n in range(max(1, fewest), each + 1) if each % n == 0), None)
    if accumulate is None:
        raise RecipeError(
            f"run.micro_batch is {micro_batch}: the mixture's steps have {batches} rows on {ranks} "
            f"ranks, so a micro-batch of the largest has at least {max(batches) // common}"
        )
    return ranks * accumulate
