"""Tokens of a dataset by group: what a budget is divided by.

In: a token dataset, or documents with `token_count`; maybe columns to group by. Out: rows.
Shown by: `gristmill stats tokens/web --by source --budget 2e9`.
Limit: documents that nobody tokenised have no tokens; no estimate is made from their length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gristmill.columns import grouping, quoted, tokens_column
from gristmill.errors import StoreError
from gristmill.stats import rows_of
from gristmill.store import Dataset


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Groups with most tokens first, and the sums over all groups, shown or not."""

    rows: list[dict[str, Any]]  # columns of the group, documents, tokens
    tokens: int
    groups: int  # those that have tokens


def token_counts(dataset: Dataset, by: str | None = None, top: int = 50) -> TokenCounts:
    """Documents and tokens of each group, or of the whole dataset without `by`."""
    from gristmill.query import source

    column = tokens_column(dataset)
    if column is None:
        raise StoreError(
            f"{dataset.name} has no token counts (column `token_count`, or a token dataset's "
            "`count`); make a token dataset of it with `use: tokenize` and ask that one"
        )
    names = grouping(dataset, by)
    selected = [f"{sql} as {name}" for name, sql in names.items()]
    selected += ["count(*) as documents"]
    selected += [f"cast(coalesce(sum({quoted(column)}), 0) as bigint) as tokens"]
    sql = f"select {', '.join(selected)} from {source(dataset)}"
    if names:
        sql += f" group by {', '.join(str(n + 1) for n in range(len(names)))}"
    order = ", ".join(["tokens desc", *names])
    sql = (
        "select *, cast(sum(tokens) over () as bigint) as every_token, "
        f"count(*) filter (tokens > 0) over () as every_group from ({sql}) "
        f"order by {order} limit {int(top)}"
    )
    found = rows_of(dataset, sql)
    tokens = int(found[0]["every_token"]) if found else 0
    count = int(found[0]["every_group"]) if found else 0
    for row in found:
        del row["every_token"], row["every_group"]
    return TokenCounts(found, tokens, count)
