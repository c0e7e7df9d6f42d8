"""Shots: rows that hold k examples drawn from a pool, for few-shot prompts.

In: a pool of rows (datasets or JSONL files), k, and how many rows. Out: rows with `examples`.
Shown by: `gristmill run pipelines/recipes/synth/self_instruct.yaml`.
Limit: the pool is held in memory: seed tasks, not a corpus.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gristmill.errors import GristmillError, RecipeError
from gristmill.rng import derive_seed

if TYPE_CHECKING:
    from synth.source.rows import Found, Part


class Shots(BaseModel):
    """`from: {shots: {of: seeds/tasks, k: 8, count: 1000}}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    of: str | tuple[str, ...] | dict[str, str]  # datasets, or {jsonl: glob}, {parquet: glob}
    k: int = Field(8, ge=1, le=1000)  # examples a row, each another row of the pool
    count: int = Field(ge=1)  # rows

    @field_validator("of")
    @classmethod
    def _known(cls, given: Any) -> Any:
        if isinstance(given, dict) and (
            len(given) != 1 or not given.keys() <= {"jsonl", "parquet"}
        ):
            raise RecipeError(
                f"from.shots.of is {given!r:.60}; write datasets or `{{jsonl: glob}}`"
            )
        return given

    @property
    def datasets(self) -> list[str]:
        """References of the pool, where it is datasets."""
        if isinstance(self.of, dict):
            return []
        return [self.of] if isinstance(self.of, str) else list(self.of)


@dataclass(frozen=True, slots=True)
class ShotRows:
    """Rows of examples; row i is drawn by (seed, i) alone."""

    pool: tuple[Part, ...]
    k: int
    seed: int
    first: int
    rows: int

    def cut(self, first: int, rows: int) -> ShotRows:
        return ShotRows(self.pool, self.k, self.seed, self.first + first, rows)

    def parents(self, values: dict[str, Any]) -> tuple[str, ...]:
        """Ids of a row's examples, where they have any."""
        return tuple(str(one["id"]) for one in values["examples"] if one.get("id"))

    def read(self) -> Iterator[Found]:
        pool = _loaded(self.pool)
        if len(pool) < self.k:
            raise GristmillError(
                f"from.shots: the pool has {len(pool)} rows and k is {self.k}; add rows or lower k"
            )
        for number in range(self.first, self.first + self.rows):
            chosen = drawn(len(pool), self.k, derive_seed(self.seed, "shots", number))
            born = f"shots {self.seed} {number} {[pool[n].get('id') for n in chosen]}"
            id_ = hashlib.sha256(born.encode()).hexdigest()[:32]
            yield {"id": id_, "examples": [pool[n] for n in chosen]}, ""


def drawn(size: int, k: int, seed: int) -> list[int]:
    """k different numbers below `size`, in the order drawn (Floyd's sampling, then by hash)."""
    found: set[int] = set()
    for top in range(size - k, size):
        number = derive_seed(seed, top) % (top + 1)
        found.add(top if number in found else number)
    return sorted(found, key=lambda n: derive_seed(seed, "order", n))


@lru_cache(maxsize=4)
def _loaded(parts: tuple[Part, ...]) -> Sequence[dict[str, Any]]:
    return [values for part in parts for values, problem in part.read() if not problem]
