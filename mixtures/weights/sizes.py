"""How many tokens a source has: given, or counted in a tokens dataset, whole or in parts.

In: `sources: {web: tokens/web, maths: 2B, forums: {from: tokens/web, where: "topic = 'forum'"}}`.
Out: tokens by source, in the order of the recipe; groups of `by` as `mixture` names them.
Shown by: `python -m pytest tests/mixtures/weights/test_swarm.py`.
Limit: datasets are counted by DuckDB, which reads the columns that a condition or `by` needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from gristmill.errors import RecipeError
from gristmill.query import quoted
from gristmill.step import StepRun
from gristmill.store import Dataset, check_name
from mixtures.blend.schedule import Position, amount
from mixtures.blend.selection import VIEW, check_column, check_where, view


class Part(BaseModel):
    """Documents that a condition selects, or a source for each group of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    from_: str = Field(alias="from")
    where: str | None = None
    by: str | tuple[str, ...] = ()
    order: Any = None  # of the mixture that shares these sources; of no matter here


Source = float | str | Part


def tokens_of(value: Position | None, key: str) -> float | None:
    """A budget as a number of tokens (2e9, "2B"), or None; RecipeError unless it is above 0."""
    if value is None:
        return None
    found = amount(value, key)
    if not found > 0 or not np.isfinite(found):
        raise RecipeError(f"{key} is {value!r}: give a number of tokens above 0")
    return found


def check_sources(sources: Mapping[str, Source]) -> None:
    """RecipeError for what the fields alone show to be wrong."""
    if not sources:
        raise RecipeError("no sources: name each with its tokens dataset or its number of tokens")
    for name, source in sources.items():
        given = _number(source)
        if given is not None and not (np.isfinite(given) and given > 0):
            raise RecipeError(f"source {name!r} has {given:g} tokens: give a number above 0")
        if given is None:
            check_name(_ref(source).partition("@")[0])


def source_refs(sources: Mapping[str, Source]) -> list[str]:
    """The datasets that have to be read, each once."""
    refs = [_ref(source) for source in sources.values() if _number(source) is None]
    return list(dict.fromkeys(refs))


def source_tokens(sources: Mapping[str, Source], run: StepRun) -> dict[str, float]:
    """Tokens by source; RecipeError for one without any, and for two of a name."""
    found: dict[str, float] = {}
    for name, source in sources.items():
        given = _number(source)
        if given is not None:
            parts = {name: given}
        else:
            part = (
                source if isinstance(source, Part) else Part.model_validate({"from": str(source)})
            )
            parts = count_tokens(run.inputs[_ref(source)], name, part)
        for twice in parts.keys() & found.keys():
            raise RecipeError(f"two sources are named {twice!r}: rename one in `sources`")
        found |= parts
    return found


def count_tokens(dataset: Dataset, name: str, part: Part) -> dict[str, float]:
    """The sum of `count` over the documents chosen, by group where there is a `by`."""
    if "count" not in dataset.schema.names:
        raise RecipeError(
            f"source {name!r}: {dataset.ref} has no column 'count'; a source is a tokens dataset "
            "(`use: tokenize`) or a number of tokens"
        )
    by = (part.by,) if isinstance(part.by, str) else part.by
    for column in by:
        check_column(dataset, column)
    connection = view(dataset)
    condition = check_where(connection, dataset, part.where)
    key = " || '/' || ".join(f"coalesce({quoted(c)}::varchar, 'none')" for c in by) or "''"
    rows = connection.execute(
        f"select {key}, sum(count)::bigint from {VIEW} where {condition} group by 1 order by 1"
    ).fetchall()
    found = {f"{name}/{group}" if by else name: float(total) for group, total in rows if total}
    if not found:
        chosen = f" where {part.where}" if part.where else ""
        raise RecipeError(f"source {name!r}: {dataset.ref}{chosen} has no tokens: leave it out")
    return found


def _ref(source: Source) -> str:
    return source.from_ if isinstance(source, Part) else str(source)


def _number(source: Source) -> float | None:
    """A number, also written as "2B" or as what YAML takes for a string (2e9)."""
    if isinstance(source, Part):
        return None
    try:
        return float(source) if isinstance(source, int | float) else amount(source, "tokens")
    except RecipeError:
        return None
