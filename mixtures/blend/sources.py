"""Sources, orders and weights of a mixture as a user writes them.

In: `sources:`, `order:` and `weights:` of a recipe. Out: the same, checked as far as can be without
the data. Shown by: any recipe with `use: mixture`. Limit: names of sources are checked against
weights only when `by` has shown its groups: mixtures.blend.resolve.

Sources stand in the order of their names, whatever order the recipe has them in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gristmill.errors import RecipeError, nearest
from mixtures.blend.schedule import parsed
from mixtures.weights.heuristics import OPTIONS


class OrderSpec(BaseModel):
    """Documents by a column instead of shuffled."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    by: str  # a column of the token dataset
    descending: bool = False
    trainer: Literal["constant", "wsd", "decaying"] | None = None  # its learning rate

    @property
    def needs_warning(self) -> bool:
        return self.trainer not in {"constant", "wsd"}


STORED = ("fitted", "swarm")
SCATTERS = {"best_fit", "whole"}  # packings that bring a window's documents into any order
Order = Literal["shuffle", "in_context"] | OrderSpec


class SourceSpec(BaseModel):
    """Where documents come from, and which of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    from_: str = Field(alias="from")  # a token dataset
    where: str | None = None  # an SQL condition over its columns
    by: tuple[str, ...] = ()  # one source for each combination of these columns' values
    replay: float | None = None  # a fixed share of all tokens, outside the weights
    order: Order | None = None  # instead of the mixture's

    @field_validator("by", mode="before")
    @classmethod
    def _one_column(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("replay")
    @classmethod
    def _a_share(cls, value: float | None) -> float | None:
        if value is not None and not 0 < value < 1:
            raise ValueError(f"replay is {value}: it is a share of the tokens, between 0 and 1")
        return value

    @field_validator("order", mode="before")
    @classmethod
    def _order(cls, value: Any) -> Any:
        return order(value) if value is not None else None


class SwarmRun(BaseModel):
    """One run of a swarm."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    from_: str = Field(alias="from")  # the dataset that `use: mixture_swarm` made
    run: int | str


@dataclass(frozen=True, slots=True)
class Chosen:
    """Weights as written: a heuristic with its options, given ones, those of a fit or a swarm."""

    name: str
    options: Mapping[str, Any]

    @property
    def stored(self) -> str | None:
        """The dataset that they are in: a fit's, or a swarm's."""
        return str(self.options["from"]) if self.name in STORED else None

    @property
    def told(self) -> str:
        """In a few words, for the report."""
        options = () if self.name == "given" else self.options.values()
        return " ".join([self.name, *map(str, options)])


def order(value: Any) -> Order:
    """`shuffle`, `in_context`, or by a column."""
    if isinstance(value, OrderSpec) or value in ("shuffle", "in_context"):
        found: Order = value
        return found
    if isinstance(value, str):
        known = nearest(value, ["shuffle", "in_context"])
        raise RecipeError(f"order is {value!r}{known} (or write {{by: COLUMN}})")
    by: OrderSpec = parsed(OrderSpec, value, "order")
    return by


def source_specs(value: Any) -> dict[str, SourceSpec]:
    """`sources:`: names to datasets, or to mappings."""
    if not isinstance(value, Mapping) or not value:
        raise RecipeError(
            f"sources is {value!r}: name each source, e.g. {{web: tokens/web, code: tokens/code}}"
        )
    found = {}
    for name, entry in sorted(value.items(), key=lambda item: str(item[0])):
        if not str(name):
            raise RecipeError("sources: a source has no name; give each one")
        given = {"from": entry} if isinstance(entry, str) else entry
        spec: SourceSpec = parsed(SourceSpec, given, f"sources.{name}")
        if spec.by and spec.replay is not None:
            raise RecipeError(
                f"sources.{name}: `replay` is the share of one source; `by` makes many"
            )
        found[str(name)] = spec
    replayed = math.fsum(spec.replay or 0 for spec in found.values())
    alone = all(spec.replay for spec in found.values())
    if replayed > 1 + 1e-9 or (alone and replayed < 1 - 1e-9):
        raise RecipeError(
            f"replay shares sum to {replayed:g}: they and the other sources make up 1; "
            "leave some for sources without `replay`"
        )
    return found


def chosen(value: Any, key: str = "weights") -> Chosen:
    """Weights as a user writes them: a name, `{name: options}`, or a name's one option alone."""
    known = [*OPTIONS, *STORED]
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, Mapping) or len(value) != 1:
        raise RecipeError(f"{key} is {value!r}: write one of {', '.join(known)}, with its options")
    ((name, options),) = value.items()
    if name not in known:
        raise RecipeError(f"{key}: unknown weights {name!r}{nearest(str(name), known)}")
    if name == "fitted":
        if not isinstance(options, str):
            raise RecipeError(f"{key}: fitted is {options!r}: name the dataset that a fit made")
        return Chosen(name, {"from": options})
    if name == "swarm":
        one: SwarmRun = parsed(SwarmRun, options, f"{key}.swarm")
        return Chosen(name, {"from": one.from_, "run": one.run})
    if name == "given":
        return Chosen(name, {"weights": options})
    names = OPTIONS[name]
    if options is not None and not isinstance(options, Mapping):
        if not names:
            raise RecipeError(f"{key}: {name} takes no options, got {options!r}")
        options = {names[0]: options}
    for option in options or {}:
        if option not in names:
            rule = nearest(str(option), names) or "; it takes none"
            raise RecipeError(f"{key}: {name} has no option {option!r}{rule}")
    return Chosen(name, dict(options or {}))
