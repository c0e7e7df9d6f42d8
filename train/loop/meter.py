"""What the micro-batches of a step say of themselves, as one line.

In: metrics, and nats and counts by row, of each micro-batch. Out: means over the step and all
ranks; loss by source. Shown by: the `.log` of any `use: train`.
Limit: all ranks tell the same metrics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import distributed

from gristmill.stopping import asked

TOKENS = "tokens_read"  # of a step, on all ranks, padding among them
BARE = "rows_without_label"  # of a mixture: read, and nothing learnt from them
STOP = "asked_to_stop"  # ranks: here, since their sums are one message a step
Told = Mapping[str, float | torch.Tensor]


class Meter:
    """Sums since the last line."""

    def __init__(self, sources: Sequence[str]) -> None:
        self.sources = list(sources)
        self.loss: torch.Tensor | float = 0.0  # of this rank, of the step in hand
        self._clear()

    def _clear(self) -> None:
        self._told: dict[str, torch.Tensor] = {}
        self._times = self._tokens = 0
        self._bare: torch.Tensor | int = 0
        self._by_source = torch.zeros(2, len(self.sources), dtype=torch.float64)

    def see(
        self,
        metrics: Told,
        rows: tuple[torch.Tensor, torch.Tensor] | None,
        batch: Mapping[str, torch.Tensor],
    ) -> None:
        """One micro-batch."""
        self._times += 1
        self._tokens += batch["input_ids"].numel()
        for name, value in metrics.items():
            number = torch.as_tensor(value).detach().double()
            self._told[name] = self._told[name] + number if name in self._told else number
        if rows is None or "source" not in batch or not self.sources:
            return
        source = batch["source"]
        self._bare = self._bare + (rows[1] == 0).sum()
        self._by_source = self._by_source.to(source.device)
        for place, values in enumerate(rows):
            self._by_source[place].index_add_(0, source, values.detach().double())

    def take(self, device: torch.device) -> dict[str, float]:
        """The step's line; begins anew."""
        names = list(self._told)
        flat = [self._told[name].cpu().reshape(1) for name in names]
        counts = [self._times, self._tokens, int(self._bare), int(asked() is not None)]
        first = torch.tensor(counts, dtype=torch.float64)
        sums = torch.cat([first, *flat, self._by_source.flatten().cpu()])
        if distributed.is_initialized() and distributed.get_world_size() > 1:
            sums = sums.to(device)
            distributed.all_reduce(sums)
            sums = sums.cpu()
        sums = sums.tolist()
        times, rest = sums[0], sums[len(counts) :]
        found = {TOKENS: sums[1], **({BARE: int(sums[2])} if sums[2] else {})}
        found |= {STOP: sums[3]} if sums[3] else {}
        found |= {name: total / times for name, total in zip(names, rest, strict=False)}
        nats = rest[len(names) : len(names) + len(self.sources)]
        for name, total, count in zip(
            self.sources, nats, rest[len(names) + len(self.sources) :], strict=True
        ):
            if count:
                found[f"loss/{name}"] = total / count
        self._clear()
        return found
