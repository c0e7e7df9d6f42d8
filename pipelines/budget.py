"""A token budget against a dataset: epochs of each group, and what repeated tokens are still worth.

In: a dataset with token counts, a budget, maybe columns to group by. Out: rows ready to print.
Shown by: `gristmill stats tokens/web --by source --budget 2e9`.
Limit: the repetition law is of one source that fills the whole budget; a mixture's own report says
what its weights come to.
"""

from __future__ import annotations

from typing import Any

from gristmill.store import Dataset
from gristmill.token_counts import token_counts
from mixtures.blend.schedule import budget_tokens
from mixtures.laws.repetition import effective_tokens
from mixtures.weights.heuristics import MAX_EPOCHS


def at_budget(
    dataset: Dataset, budget: str, by: str | None = None, top: int = 50
) -> list[dict[str, Any]]:
    """Rows of epochs and effective tokens; most tokens first.

    Without `by` one row: `epochs` of the whole dataset and its `effective` tokens (the repetition
    law's: what as many new tokens would be). With `by` a row for each group: its share of the
    tokens, `epochs` where the budget follows these shares (the same for all groups), where every
    group gets the same part of the budget (`uniform_`), and where the group gets all of it
    (`alone_`); `most` is the largest share of the budget that is within 4 epochs.
    """
    total = budget_tokens(budget)
    counted = token_counts(dataset, by, top)
    if by is None:
        (row,) = counted.rows
        return [{**row, "budget": total, **_spent("", row["tokens"], total)}]
    rows = []
    for row in counted.rows:
        tokens = row["tokens"]
        rows.append(
            {
                **row,
                "share": round(tokens / max(counted.tokens, 1), 6),
                "epochs": _epochs(counted.tokens, total),
                **_spent("uniform_", tokens, total / max(counted.groups, 1)),
                **_spent("alone_", tokens, total),
                "most": round(min(1.0, MAX_EPOCHS * tokens / total), 6),
            }
        )
    return rows


def _spent(prefix: str, tokens: int, budget: float) -> dict[str, Any]:
    effective = round(float(effective_tokens(tokens, budget))) if tokens else 0
    return {f"{prefix}epochs": _epochs(tokens, budget), f"{prefix}effective": effective}


def _epochs(tokens: int, budget: float) -> float | None:
    return round(budget / tokens, 4) if tokens else None
