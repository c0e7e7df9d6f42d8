"""The loss over rows that are not trained on, on the way and at the end.

In: a mixture, the model. Out: mean nats of a token, over all rows and by source.
Shown by: `held_out: {data: mix/held_out, every: 0.25}`; columns `held_out` and `held_out/SOURCE`.
Limit: models of next tokens only; `use: evaluate` measures a checkpoint in more ways.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import distributed

from gristmill.errors import RecipeError
from gristmill.store import Store
from mixtures.plan import open_plan
from mixtures.plan.adapters import collate
from mixtures.tokens.tokenizers import tokenizer_files
from train.job import Job
from train.losses.cross_entropy import IGNORED, token_nats
from train.models.vocabulary import must_agree, tokenizer_of
from train.spec import HeldOut

TOKENS = 1 << 14  # of a forward pass


class HeldRows:
    """Rows in order, each rank its share."""

    def __init__(self, job: Job, spec: HeldOut) -> None:
        if job.step.kind == "reward":
            raise RecipeError("held_out is of next tokens; a stage of kind reward has none")
        self.plan = open_plan(job.store, job.inputs[spec.data])
        theirs = tokenizer_files(Store(job.store)[self.plan.spec.tokenizer])
        must_agree("the stage", tokenizer_of(job), f"held_out.data {spec.data!r}", theirs)
        self.sources = [source.name for source in self.plan.spec.sources]
        self.rows = min(spec.rows or len(self.plan), len(self.plan))
        self._at_once = max(1, TOKENS // max(s.seq for s in self.plan.segments))

    def measure(self, model: Any, device: torch.device, rank: int, world: int) -> dict[str, float]:
        """`held_out` and `held_out/SOURCE`. The model is left in the mode that it was in."""
        sums = torch.zeros(2, len(self.sources), dtype=torch.float64)
        training = model.training
        model.eval()
        passes = [self._passes(other, world) for other in range(world)]
        mine = passes[rank]
        with torch.no_grad():
            for start, stop in mine:
                self._add(sums, model, device, start, stop)
            for _ in range(max(map(len, passes)) - len(mine)):  # weights that ranks share need all
                self._add(torch.zeros_like(sums), model, device, 0, 1)
        model.train(training)
        if world > 1:
            there = sums.to(device)
            distributed.all_reduce(there)
            sums = there.cpu()
        nats, counts = sums.tolist()
        found = {"held_out": sum(nats) / max(sum(counts), 1)}
        pairs = zip(self.sources, nats, counts, strict=True)
        return found | {f"held_out/{name}": n / c for name, n, c in pairs if c}

    def _passes(self, rank: int, world: int) -> list[tuple[int, int]]:
        """Rows of each forward pass of a rank."""
        firsts = range(rank * self._at_once, self.rows, world * self._at_once)
        parts = [(first, min(first + self._at_once, self.rows)) for first in firsts]
        return [cut for part in parts for cut in self._of_one_length(*part)]

    def _of_one_length(self, first: int, last: int) -> list[tuple[int, int]]:
        cuts = {s.start for s in self.plan.segments if first < s.start < last}
        edges = sorted({first, last, *cuts})
        return list(pairwise(edges))

    def _add(
        self, sums: torch.Tensor, model: Any, device: torch.device, start: int, stop: int
    ) -> None:
        batch = collate([self.plan.rows(range(start, stop))])
        given = {name: batch[name].to(device) for name in ("input_ids", "position_ids")}
        labels = batch["labels"].to(device)
        nats = token_nats(model(**given, use_cache=False).logits, labels)
        counted = (labels[:, 1:] != IGNORED).sum(1)
        sums[0].index_add_(0, batch["source"], nats.double().sum(1).cpu())
        sums[1].index_add_(0, batch["source"], counted.double().cpu())
