"""Cells of a test of long contexts: length by depth, and the scores of all, of a length, of a cell.

In: items with their cell. Out: scores. Shown by: `use: evaluate, tasks: [{needle: {lengths:
[512, 1024]}}]`. Limit: lengths are tokens of the model's own tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from gristmill.errors import RecipeError
from train.evaluate.intervals import Estimate
from train.evaluate.results import Better, Item, Score
from train.evaluate.spec import TaskSpec

if TYPE_CHECKING:
    from train.evaluate.bench import Bench


class GridTask(TaskSpec):
    """Options that tests of long contexts share."""

    lengths: tuple[int, ...] = (512, 1024)  # tokens, the question among them
    depths: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)  # 0: at the beginning
    samples: int = Field(10, ge=1)  # of a cell

    @field_validator("lengths")
    @classmethod
    def _lengths(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 1 or len(set(value)) < len(value):
            raise RecipeError(f"lengths are {list(value)}; give different lengths above 0")
        return value

    @field_validator("depths")
    @classmethod
    def _depths(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or not all(0 <= depth <= 1 for depth in value):
            raise RecipeError(f"depths are {list(value)}; give parts of the context, from 0 to 1")
        return value

    @property
    def cells(self) -> list[tuple[int, float]]:
        """Every length with every depth."""
        return [(length, depth) for length in self.lengths for depth in self.depths]

    def check_fits(self, bench: Bench) -> None:
        """Raise RecipeError for a length beyond what the model reads."""
        if max(self.lengths) > bench.longest:
            raise RecipeError(
                f"{self.title}: lengths go to {max(self.lengths):,}, model {bench.name!r} reads "
                f"{bench.longest:,} tokens (max_position_embeddings); ask for shorter ones"
            )


def grid_scores(
    items: Sequence[Item], metric: str, better: Better, estimate: Callable[[list[float]], Estimate]
) -> Iterator[Score]:
    """Scores of a metric over all its items, over each length, and of each cell."""
    own = [item for item in items if item.metric == metric]
    lengths = sorted({item.length for item in own if item.length is not None})
    depths = sorted({item.depth for item in own if item.depth is not None})
    wanted: list[tuple[int | None, float | None]] = [(None, None)]
    wanted += [(length, None) for length in lengths]
    wanted += [(length, depth) for length in lengths for depth in depths]
    for length, depth in wanted:
        values = [
            item.score
            for item in own
            if length in (None, item.length) and depth in (None, item.depth)
        ]
        found = estimate(values)
        yield Score(
            metric, found.value, found.n, better, stderr=found.stderr, low=found.low,
            high=found.high, length=length, depth=depth,
        )  # fmt: skip
