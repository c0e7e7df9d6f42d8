"""The page of a token dataset: how long its documents are, and what a budget makes of it.

In: a dataset of kind `tokens`. Out: the page's sections.
Shown by: `gristmill page tokens/web --out tokens.html`. Limit: tokens are counted, not decoded.
"""

from __future__ import annotations

from gristmill.progress import human
from gristmill.stats import rows_of
from gristmill.store import Dataset
from gristmill.token_counts import token_counts
from mixtures.laws.repetition import effective_tokens
from pipelines.pages.common import build_of, distributions, origin, recipe, summary
from pipelines.pages.html import Html, beside, join, note, section, table
from pipelines.pages.svg.bars import bars

LENGTHS = {"count": "Length of a document in tokens"}
EPOCHS = (1, 2, 4, 8, 16, 40)
GROUPS = 30
_CARRIED = ("source", "language", "topic")


def sections(dataset: Dataset, rows: int) -> list[Html]:
    """All of them, in order."""
    tokens = token_counts(dataset).tokens
    pairs = {
        "tokens": tokens,
        "tokens a document": round(tokens / max(dataset.rows, 1), 1),
        "tokenizer": build_of(dataset).get("outputs", {}).get(f"{dataset.name}.tokenizer"),
        **_widths(dataset),
    }
    return [
        summary(dataset, pairs),
        origin(dataset),
        *(_groups(dataset, name) for name in _CARRIED if name in dataset.schema.names),
        distributions(dataset, LENGTHS),
        _budgets(tokens),
        recipe(dataset),
    ]


def _widths(dataset: Dataset) -> dict[str, object]:
    """Bytes of all tokens, and documents of none."""
    from gristmill.query import source

    (found,) = rows_of(
        dataset,
        "select cast(coalesce(sum(octet_length(tokens)), 0) as bigint) as bytes, "
        f"count(*) filter (count = 0) as empty from {source(dataset)}",
    )
    return {"as numbers": human(found["bytes"], "B"), "empty documents": found["empty"]}


def _groups(dataset: Dataset, column: str) -> Html:
    counted = token_counts(dataset, column, GROUPS)
    if counted.groups < 2:
        return join()
    rows = [{**row, "share": row["tokens"] / max(counted.tokens, 1)} for row in counted.rows]
    labels = [str(row[column] or "(none)") for row in rows]
    picture = bars(f"Tokens by {column}", labels, {"tokens": [row["tokens"] for row in rows]})
    return section(
        f"By {column}", beside(picture, table([column, "documents", "tokens", "share"], rows))
    )


def _budgets(tokens: int) -> Html:
    """What epochs are worth, by the repetition law."""
    if not tokens:
        return join()
    rows = []
    for epochs in EPOCHS:
        worth = float(effective_tokens(tokens, tokens * epochs))
        rows.append(
            {
                "epochs": epochs,
                "tokens": tokens * epochs,
                "effective": round(worth),
                "worth_share": worth / (tokens * epochs),
            }
        )
    names = {
        "epochs": "epochs",
        "tokens": "tokens seen",
        "effective": "worth in new tokens",
        "worth_share": "of those seen",
    }
    law = "By the repetition law for one source alone (arXiv 2305.16264)."
    return section("Epochs", note(law), table(names, rows))
