"""Select resample: n items of a row drawn with probability proportional to exp(weight).

In: items with a log weight. Out: n of them, drawn anew with the same result for the same seed.
Shown by: `gristmill run pipelines/recipes/synth/latent_thoughts.yaml`.
Limit: an item that is drawn twice (`replace: true`) is two items with the same text.

A draw is the item with the highest weight + Gumbel noise, which has probability softmax(weight)
(Gumbel 1954; Kool et al. 2019, arXiv:1903.06059); the n highest of one noise are a draw without
replacement. Noise comes from the row's seed and the item's own path, so an item that failed does
not change what the others draw.
"""

from __future__ import annotations

import math

import pyarrow as pa
from pydantic import Field

from synth.items import Item, Row
from synth.ops import SynthOp, register_op
from synth.values import number_of


@register_op("select.resample")
class Resample(SynthOp):
    """Importance resampling of a row's items."""

    by: str  # a field with a log weight, e.g. of `score: logprob`
    n: int = Field(1, ge=1)
    replace: bool = False  # draw each of the n from all items

    def fields(self) -> dict[str, pa.DataType]:
        return {"draw": pa.int64()} if self.replace else {}

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        weighted: list[tuple[float, Item]] = []
        for item in items:
            weight = number_of(item, self.by, row, self.NAME)
            if weight is None:
                continue
            if weight == -math.inf:
                row.filter(self.NAME, "resample.zero", weight)
                continue
            weighted.append((weight, item))
        if not weighted:
            return []
        drawn: list[Item] = []
        if self.replace:
            picks = [self._ranked(weighted, row, draw)[0] for draw in range(self.n)]
            drawn = [item.child(draw, draw=draw) for draw, item in enumerate(picks)]
            taken = {id(item) for item in picks}
        else:
            drawn = self._ranked(weighted, row, 0)[: self.n]
            taken = {id(item) for item in drawn}
        for weight, item in weighted:
            if id(item) not in taken:
                row.filter(self.NAME, "resample.drawn", weight)
        return drawn

    def _ranked(self, weighted: list[tuple[float, Item]], row: Row, draw: int) -> list[Item]:
        """Items by weight + noise, highest first."""

        def key(pair: tuple[float, Item]) -> float:
            seed = row.seed_for("resample", self.by, draw, *pair[1].path)
            uniform = (seed + 0.5) / (1 << 63)  # of 63 bits: never 0, and 1 only by rounding
            return pair[0] - math.log(-math.log(min(uniform, 1 - 2**-53)))

        return [item for _, item in sorted(weighted, key=key, reverse=True)]
