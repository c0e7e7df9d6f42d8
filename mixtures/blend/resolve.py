"""Sources and weights once the data is there: groups have become sources, heuristics numbers.

In: what `sources:` declares, and the groups that were found; chosen weights. Out: sources by name,
a weight for each. Shown by: any recipe with `use: mixture`.
Limit: MAX_SOURCES sources, groups of `by` among them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gristmill.errors import RecipeError, nearest
from gristmill.store import Dataset
from mixtures.blend.sources import Chosen, SourceSpec
from mixtures.weights.heuristics import weights_by
from mixtures.weights.runs import run_shares

MAX_SOURCES = 4096
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Source:
    """One source with its documents: all of a dataset, or those that a selection lists."""

    name: str
    declared: str  # the key in `sources:`; groups of `by` share it
    ref: str  # name@version
    documents: int
    tokens: int
    first: int = 0  # of its rows in the selection
    selected: bool = False
    replay: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a declared source turned out to be."""

    ref: str  # name@version
    groups: Sequence[Mapping[str, Any]]  # mixtures.blend.selection.Group as mappings
    selected: bool  # whether there is a file of row numbers


def found_sources(specs: Mapping[str, SourceSpec], found: Sequence[Found]) -> list[Source]:
    """One source a key of `sources:`, or a group of it; RecipeError for empty ones."""
    sources: list[Source] = []
    for entry, (name, spec) in zip(found, specs.items(), strict=True):
        groups = [group for group in entry.groups if group["tokens"]]
        if not groups:
            chosen = f" where {spec.where}" if spec.where else ""
            raise RecipeError(
                f"source {name!r} is empty: {entry.ref}{chosen} has no token; leave it out"
            )
        sources += [
            Source(
                name=f"{name}/{group['name']}" if spec.by else name,
                declared=name,
                ref=entry.ref,
                documents=group["documents"],
                tokens=group["tokens"],
                first=group["first"],
                selected=entry.selected,
                replay=spec.replay,
            )
            for group in groups
        ]
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise RecipeError(f"two sources are named {twice!r}: rename one in `sources:`")
    if len(sources) > MAX_SOURCES:
        raise RecipeError(
            f"{len(sources):,} sources: a mixture has at most {MAX_SOURCES:,}; group by fewer "
            "columns"
        )
    return sources


def stored_weights(choice: Chosen, inputs: Mapping[str, Dataset]) -> dict[str, float] | None:
    """Weights by source that a fit chose, or that a run of a swarm has; None for others."""
    if choice.stored is None:
        return None
    dataset = inputs[choice.stored]
    if choice.name == "swarm":
        return run_shares(dataset.to_table(), dataset.ref, choice.options["run"])
    return fitted_weights(dataset)


def fitted_weights(dataset: Dataset) -> dict[str, float]:
    """Weights by source, from a dataset with columns `source` and `weight`."""
    if missing := {"source", "weight"} - set(dataset.schema.names):
        raise RecipeError(
            f"weights: {dataset.ref} has no column {sorted(missing)[0]!r}; "
            "it must be made by `use: mixture_fit`, or have a row (source, weight) for each source"
        )
    table = dataset.to_table(["source", "weight"])
    found = dict(zip(table["source"].to_pylist(), table["weight"].to_pylist(), strict=True))
    if len(found) != table.num_rows:
        raise RecipeError(f"weights: {dataset.ref} names a source more than once")
    return found


def source_weights(
    choice: Chosen,
    sources: Sequence[Source],
    budget: float,
    stored: Mapping[str, float] | None = None,
    key: str = "weights",
) -> F64:
    """Weights of all sources, float64[k], summing to 1: replay shares first, the rest by choice."""
    weights = np.array([source.replay or 0.0 for source in sources])
    free = [n for n, source in enumerate(sources) if source.replay is None]
    rest = 1 - math.fsum(weights)
    if not free or rest <= 1e-12:
        return np.asarray(weights / weights.sum())
    names = [sources[n].name for n in free]
    tokens = np.array([sources[n].tokens for n in free], np.float64)
    name, options = choice.name, dict(choice.options)
    if name == "given" or stored is not None:
        given = options["weights"] if stored is None else stored
        name, options = "given", {"weights": spread(given, [sources[n] for n in free], key)}
    try:
        by_choice = weights_by(name, tokens, budget * rest, options, names)
    except RecipeError as error:
        raise RecipeError(f"{key}: {error}") from None
    weights[free] = by_choice * rest
    return weights


def spread(given: Any, sources: Sequence[Source], key: str) -> dict[str, float]:
    """Given weights by source; one for a key of `sources:` is dealt to its groups by their size."""
    if not isinstance(given, Mapping):
        raise RecipeError(f"{key}: given is {given!r}: write a share for each source by its name")
    names = {source.name for source in sources}
    known = names | {source.declared for source in sources}
    for name in given:
        if name not in known:
            raise RecipeError(f"{key}: no source {name!r}{nearest(str(name), known)}")
    found = {name: share for name, share in given.items() if name in names}
    for declared in sorted(set(given) - names):
        groups = [s for s in sources if s.declared == declared and s.name not in given]
        total = sum(source.tokens for source in groups)
        found |= {s.name: given[declared] * s.tokens / total for s in groups}
    return found
