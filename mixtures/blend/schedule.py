"""Schedules: from positions in tokens to spans of constant weights, row length and batch.

In: a budget, stages (weights that begin at a position) and shapes (row length and batch that do).
Out: spans of whole optimiser steps, which mixtures.blend.segments deals to the sources.
Shown by: `python -m mixtures.blend.schedule 2M '[{at: 0.9, weights: uniform, ramp: 0.05}]'`.
Limit: a ramp is a staircase of at most RAMP_STEPS steps, none shorter than an optimiser step.

A position is a part of the budget (0.9) or a count of tokens (1_800_000, "1.8M"). Tokens here are
those that the trainer reads, padding among them: rows × row length. A boundary goes to the nearest
optimiser step, and what rounding took from one span the next gives back.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from gristmill.errors import RecipeError, explain, keys_of, nearest

RAMP_STEPS = 16
UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
_AMOUNT = re.compile(r"([\d_]*\.?\d+(?:e[+-]?\d+)?)\s*([kmbt]?)", re.IGNORECASE)
Position = int | float | str
Weights = str | dict[str, Any]  # what mixtures.blend.sources.chosen reads


class StageSpec(BaseModel):
    """Weights from a position on."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    at: Position
    weights: Weights
    ramp: Position = 0  # how long the weights take to come there from those before


class ShapeSpec(BaseModel):
    """Row length and batch from a position on."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    at: Position = 0
    seq: int  # tokens a row
    batch: int  # rows an optimiser step


@dataclass(frozen=True, slots=True)
class Span:
    """Whole optimiser steps of one shape, in one stage; `ramp` is how much its weights count."""

    steps: int
    seq: int
    batch: int
    stage: int
    ramp: float = 1.0  # the rest: the weights of the stage before

    @property
    def rows(self) -> int:
        return self.steps * self.batch

    @property
    def tokens(self) -> int:
        return self.rows * self.seq


def amount(value: Position, key: str) -> float:
    """A number of tokens: 1_000, 2e9, "2B", "1.5M". RecipeError for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    found = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise RecipeError(
            f"{key} is {value!r}: write a number of tokens, e.g. 2000000, 2_000_000, 2e6 or '2M' "
            "(k, M, B, T)"
        )
    return float(found[1].replace("_", "")) * UNITS[found[2].lower()]


def budget_tokens(value: Position) -> int:
    """The budget as a whole number of tokens."""
    found = amount(value, "budget")
    if found < 1:
        raise RecipeError(f"budget is {value!r}: a mixture needs at least one token")
    return round(found)


def position(value: Position, budget: int, key: str) -> int:
    """A position in tokens: below 1 a part of the budget, else a count."""
    found = amount(value, key)
    if isinstance(value, float) and 1 <= value < 1000:
        raise RecipeError(
            f"{key} is {value!r}: a part of the budget is below 1; a number of tokens is written "
            f"without a point, {value:.0f}"
        )
    tokens = round(found * budget) if found < 1 else round(found)
    if tokens >= budget:
        raise RecipeError(
            f"{key} is {value!r}, which is token {tokens:,} of a budget of {budget:,}: "
            "positions lie before its end"
        )
    return tokens


def check_stages(
    stages: Sequence[StageSpec], budget: int, implied: int = 0
) -> list[tuple[int, int]]:
    """(position, ramp) of each stage in tokens; RecipeError where they do not follow each other.

    implied: how many of the first ones the user has not written as a stage.
    """
    keys = [f"stages.{n - implied}" for n in range(len(stages))]
    pairs = zip(stages, keys, strict=True)
    starts = [position(stage.at, budget, f"{key}.at") for stage, key in pairs]
    _check_order(starts, [stage.at for stage in stages], keys)
    found = []
    for n, (start, end) in enumerate(zip(starts, [*starts[1:], budget], strict=True)):
        given, key = stages[n].ramp, keys[n]
        ramp = amount(given, f"{key}.ramp")
        ramp = round(ramp * budget) if ramp < 1 else round(ramp)
        if ramp and n == 0:
            raise RecipeError(f"{key}.ramp is {given!r}: nothing comes before the first stage")
        if ramp > end - start:
            raise RecipeError(
                f"{key}.ramp is {given!r}, {ramp:,} tokens: the stage has {end - start:,}; "
                "shorten the ramp or move what comes next"
            )
        found.append((start, int(ramp)))
    return found


def check_shapes(shapes: Sequence[ShapeSpec], budget: int) -> list[int]:
    """Position of each shape in tokens; RecipeError where they are no shapes."""
    if not shapes:
        raise RecipeError("shape is empty: give seq and batch, e.g. {seq: 1024, batch: 64}")
    for n, shape in enumerate(shapes):
        for key in ("seq", "batch"):
            if getattr(shape, key) < 1:
                raise RecipeError(
                    f"shape.{n}.{key} is {getattr(shape, key)}: a row holds at least one token and "
                    "an optimiser step at least one row"
                )
    starts = [position(shape.at, budget, f"shape.{n}.at") for n, shape in enumerate(shapes)]
    keys = [f"shape.{n}" for n in range(len(shapes))]
    _check_order(starts, [shape.at for shape in shapes], keys)
    return starts


def _check_order(starts: list[int], given: list[Position], keys: list[str]) -> None:
    if starts and starts[0]:
        raise RecipeError(f"{keys[0]}.at is {given[0]!r}: the first one begins at 0")
    for n in range(1, len(starts)):
        if starts[n] <= starts[n - 1]:
            raise RecipeError(
                f"{keys[n]}.at is {given[n]!r}, at or before the one above it: put them in order"
            )


def spans(
    budget: int, stages: Sequence[StageSpec], shapes: Sequence[ShapeSpec], implied: int = 0
) -> list[Span]:
    """Cut the budget at every change. Never more tokens than the budget."""
    beginnings = check_stages(stages, budget, implied)
    shape_starts = check_shapes(shapes, budget)
    weights_at: dict[int, tuple[int, float]] = {}
    for stage, (start, ramp) in enumerate(beginnings):
        steps = min(RAMP_STEPS, ramp)
        for step in range(steps):
            weights_at[start + ramp * step // steps] = (stage, (step + 0.5) / steps)
        weights_at[start + ramp] = (stage, 1.0)
    shape_at = dict(zip(shape_starts, shapes, strict=True))
    cuts = [*sorted({*weights_at, *shape_at}), budget]
    found: list[Span] = []
    done, (stage, ramp_share), shape = 0, weights_at[0], shapes[0]
    for at, end in pairwise(cuts):
        stage, ramp_share = weights_at.get(at, (stage, ramp_share))
        shape = shape_at.get(at, shape)
        size = shape.seq * shape.batch
        steps = (end - done + (0 if end == budget else size // 2)) // size
        if steps > 0:
            found.append(Span(steps, shape.seq, shape.batch, stage, ramp_share))
            done += steps * size
    _check_all_there(found, budget, stages, shapes, implied)
    return found


def _check_all_there(
    found: list[Span],
    budget: int,
    stages: Sequence[StageSpec],
    shapes: Sequence[ShapeSpec],
    implied: int,
) -> None:
    """A stage or a shape that rounds to nothing is a mistake, not a detail."""
    steps = [f"{shape.batch} rows x {shape.seq} tokens" for shape in shapes]
    if not found:
        raise RecipeError(f"budget {budget:,}: less than one optimiser step ({steps[0]})")
    seen = {span.stage for span in found}
    for n, stage in enumerate(stages):
        if n not in seen:
            raise RecipeError(
                f"stages.{n - implied} at {stage.at!r} is shorter than an optimiser step "
                f"({steps[-1]}); make it longer or the batch smaller"
            )
    for n, shape in enumerate(shapes):
        if not any((span.seq, span.batch) == (shape.seq, shape.batch) for span in found):
            raise RecipeError(
                f"shape.{n} at {shape.at!r} is shorter than one of its optimiser steps ({steps[n]})"
            )


def parsed(model: type[BaseModel], value: Any, where: str) -> Any:
    """One entry as its model; RecipeError that says where it stands."""
    if isinstance(value, model):
        return value
    known = keys_of(model)
    if not isinstance(value, dict):
        raise RecipeError(f"{where} is {value!r}: write a mapping of {', '.join(known)}")
    for key in value:
        if key not in known:
            raise RecipeError(f"{where}: unknown key {key!r}{nearest(str(key), known)}")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise RecipeError(f"{where}: {explain(error, model)}") from None


def parsed_list(model: type[BaseModel], value: Any, where: str) -> Any:
    """A list of entries, or one alone."""
    entries = value if isinstance(value, list | tuple) else [value]
    return tuple(parsed(model, entry, f"{where}.{n}") for n, entry in enumerate(entries))


def main() -> None:
    """Print the spans of a schedule."""
    import yaml

    budget = budget_tokens(sys.argv[1])
    stages = parsed_list(StageSpec, [{}, *yaml.safe_load(sys.argv[2])], "stages")
    for span in spans(budget, stages, [ShapeSpec(seq=1024, batch=4)]):
        print(span)


if __name__ == "__main__":
    main()
