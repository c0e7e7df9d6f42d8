"""The page of a generated dataset: what models wrote, what was kept, and where the rest went.

In: a dataset that `synthesize` made. Out: the page's sections.
Shown by: `gristmill page synth/qa --out qa.html`.
Limit: tokens and seconds are those of the newest build; what the request log gave counts as tokens.
"""

from __future__ import annotations

from typing import Any

from gristmill.goodput import goodput, seconds
from gristmill.query import source
from gristmill.stats import rows_of
from gristmill.store import Dataset
from pipelines.pages.common import build_of, distributions, origin, recipe, samples, summary
from pipelines.pages.documents import losses
from pipelines.pages.html import Html, beside, facts, join, note, section, table
from pipelines.pages.svg.bars import bars

REASONS = 15
TEXTS = ("text", "prompt", "chosen", "rejected", "answer", "messages")


def sections(dataset: Dataset, rows: int) -> list[Html]:
    """All of them, in order."""
    return [
        summary(dataset),
        origin(dataset),
        _tokens(dataset),
        _completions(dataset),
        losses(dataset),
        distributions(dataset, {"text": "Length of the text in characters"}),
        samples(dataset, rows, TEXTS),
        recipe(dataset),
    ]


def _tokens(dataset: Dataset) -> Html:
    """Goodput: kept tokens beside those that were lost, by reason; and the time."""
    build = build_of(dataset)
    told: dict[str, Any] = build.get("facts", {}).get("goodput") or {}
    lines = goodput(build)
    if not lines:
        return section("Tokens written", note("No model was asked for this dataset."))
    shown = lines[:REASONS]
    picture = bars(
        "Tokens written, by what became of them",
        [line["became"] for line in shown],
        {"tokens": [line["tokens"] for line in shown]},
    )
    pairs = {
        "requests to models": told["requests"],
        "answers from the request log": told["cached"],
        "prompt tokens": told["prompt_tokens"],
        "tokens written": told["completion_tokens"],
        "tokens a second": told["tokens_per_second"],
        "kept tokens a second": told["kept_tokens_per_second"],
    }
    columns = {"became": "what became of them", "tokens": "tokens", "share": "share"}
    spent = [{"where": where, "seconds": round(s, 1)} for where, s in seconds(build).items()]
    return section(
        "Tokens written",
        facts(pairs),
        beside(picture, table(columns, lines)),
        table(["where", "seconds"], spent, "Where the time went"),
    )


def _completions(dataset: Dataset) -> Html:
    """Who wrote what: a line a stage and model."""
    completions = dataset.output(".completions")
    sql = (
        "select stage, model, template as prompt, finish_reason, count(*) as completions, "
        "round(avg(prompt_tokens), 1) as tokens_in, round(avg(completion_tokens), 1) as tokens_out "
        f"from {source(completions)} group by all "
        "order by stage, completions desc, model, prompt, finish_reason"
    )
    found = rows_of(completions, sql)
    return section("Completions", table(list(found[0]), found)) if found else join()
