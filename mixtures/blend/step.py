"""mixture: dataset versions, weights and a schedule into rows of tokens, packed and in order.

In: token datasets. Out: packed rows and `.pieces`, the `.plan` that orders them, a `.report` of
shares and epochs, a `.token_ledger`. Shown by: `gristmill run pipelines/recipes/mixture.yaml`.
Limit: no token is copied: the plan needs the token datasets that it was made from.

Sources are chosen, checked and counted; the schedule becomes segments with a number of rows for
each source; then every source is packed through all segments, one task a source.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from gristmill.errors import RecipeError, nearest
from gristmill.step import Ahead, Output, Phase, Step, StepRun
from mixtures.blend import inject, schedule
from mixtures.blend.build import Mixing
from mixtures.blend.inject import InjectSpec, insertion_points
from mixtures.blend.schedule import Position, ShapeSpec, Span, StageSpec, Weights
from mixtures.blend.sources import SCATTERS, Chosen, Order, SourceSpec, chosen, order, source_specs
from mixtures.packing import METHODS
from mixtures.packing.packer import WINDOW

LISTS: dict[str, type[BaseModel]] = {"stages": StageSpec, "shape": ShapeSpec, "inject": InjectSpec}


class Mixture(Step):
    """Rows of tokens from several sources, in fixed shares and a fixed order."""

    VERSION: ClassVar[int] = 1

    sources: dict[str, SourceSpec]  # name: a token dataset, or {from, where, by, replay, order}
    budget: Position  # tokens: 2_000_000, 2e9, "2B"
    weights: Weights = "natural"  # natural, uniform, temperature, unimax, given, fitted or swarm
    stages: tuple[StageSpec, ...] = ()  # weights from a position on: {at, weights, ramp}
    shape: tuple[ShapeSpec, ...] = (ShapeSpec(seq=1024, batch=64),)  # {at, seq, batch}
    pack: str = "best_fit"  # whole, best_fit, concat, one_per_row, greedy
    attention: Literal["document", "row"] = "document"  # what a token may look back to
    order: Order = "shuffle"  # shuffle, in_context, or {by: column, descending, trainer}
    inject: tuple[InjectSpec, ...] = ()  # documents at chosen positions: {from, where, at, every}
    max_epochs: float | None = Field(None, gt=0)  # refused beyond; null: 16, and told above 4
    window: int = Field(WINDOW, gt=0)  # documents packed at a time
    seed: int = 0

    @field_validator("sources", mode="before")
    @classmethod
    def _sources(cls, value: Any) -> Any:
        return source_specs(value)

    @field_validator(*LISTS, mode="before")
    @classmethod
    def _list(cls, value: Any, field: ValidationInfo) -> Any:
        assert field.field_name is not None
        return schedule.parsed_list(LISTS[field.field_name], value, field.field_name)

    @field_validator("order", mode="before")
    @classmethod
    def _order(cls, value: Any) -> Any:
        return order(value)

    @field_validator("pack")
    @classmethod
    def _pack(cls, value: str) -> str:
        if value not in METHODS:
            raise RecipeError(f"pack is {value!r}{nearest(value, METHODS)}")
        return value

    def all_stages(self) -> tuple[StageSpec, ...]:
        """Stages from the first token on: `weights` hold until the first of `stages`."""
        if self.stages and schedule.amount(self.stages[0].at, "stages.0.at") == 0:
            if "weights" in self.model_fields_set:
                raise RecipeError("stages.0 begins at 0: leave `weights` out, or move the stage")
            return self.stages
        return (StageSpec(at=0, weights=self.weights), *self.stages)

    def spans(self, budget: int) -> list[Span]:
        """The schedule as whole optimiser steps."""
        stages = self.all_stages()
        return schedule.spans(budget, stages, self.shape, len(stages) - len(self.stages))

    def choices(self) -> list[Chosen]:
        """How each stage's weights are chosen."""
        stages = self.all_stages()
        first = len(stages) - len(self.stages)
        keys = ["weights"] * first + [f"stages.{n}.weights" for n in range(len(self.stages))]
        return [chosen(stage.weights, key) for stage, key in zip(stages, keys, strict=True)]

    def order_of(self, spec: SourceSpec) -> Order:
        """A source's own order, or the mixture's."""
        return spec.order if spec.order is not None else self.order

    def inputs(self) -> list[str]:
        refs = [spec.from_ for spec in self.sources.values()]
        refs += [spec.from_ for spec in self.inject]
        refs += [place for choice in self.choices() if (place := choice.stored)]
        return list(dict.fromkeys(refs))

    def check(self) -> None:
        budget = schedule.budget_tokens(self.budget)
        self.spans(budget)
        self.choices()
        insertion_points(self.inject, budget)
        if len({spec.from_ for spec in self.inject}) > 1:
            raise RecipeError(
                "inject reads several datasets: tokenise them as one and choose by `where`"
            )
        if self.inject and inject.NAME in self.sources:
            raise RecipeError(f"a source is named {inject.NAME!r}, which `inject` needs; rename it")
        walks = [n for n, spec in self.sources.items() if self.order_of(spec) == "in_context"]
        if walks and self.pack in SCATTERS:
            raise RecipeError(
                f"order in_context of source {walks[0]!r}: pack {self.pack} would part the "
                "neighbours; use concat or greedy"
            )

    def forecast(self, ahead: Ahead) -> dict[str, Any]:
        return {"documents": 0, "tokens": schedule.budget_tokens(self.budget)}

    def outputs(self) -> dict[str, Output]:
        return {
            "": Output("packed", "rows, source by source"),
            ".pieces": Output("pieces", "what fills each row"),
            ".plan": Output("rows", "how positions find their rows"),
            ".report": Output("rows", "shares, epochs and controls by stage and source"),
            ".token_ledger": Output("rows", "what became of every token"),
        }

    def phases(self, run: StepRun) -> Iterator[Phase]:
        mixing = Mixing(self, run)
        yield mixing.select()
        yield mixing.look()
        mixing.resolve()
        if walks := mixing.walks():
            yield walks
        yield mixing.fill()
        yield mixing.conclude()
