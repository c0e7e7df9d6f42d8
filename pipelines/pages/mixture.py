"""The page of a mixture: what was asked and what came, epochs, schedule, and every token's fate.

In: the main output of `use: mixture`, with `.plan`, `.report` and `.token_ledger` beside it.
Out: the page's sections. Shown by: `gristmill page mix/pretrain --out mixture.html`.
Limit: a picture shows the 30 largest sources; all of them stand in `.report`.
"""

from __future__ import annotations

import json
from itertools import accumulate
from typing import Any

from gristmill.store import Dataset
from mixtures.blend.report import CONTROLS, WHOLE
from mixtures.laws.repetition import REFUSE_EPOCHS, WARN_EPOCHS
from pipelines.pages.common import build_of, origin, recipe, summary
from pipelines.pages.html import (
    Html,
    beside,
    details,
    join,
    note,
    percent,
    section,
    short_percent,
    table,
    tag,
)
from pipelines.pages.svg.bars import bars, dots, stacked
from pipelines.pages.svg.plots import area, gallery, steps

Rows = list[dict[str, Any]]
BANDS = 7  # sources of the schedule's picture; the others share one band
FATES = ("kept", "split", "padding", "dropped", "carried")
_MARKS = {mark: f"{mark:g} epochs" for mark in (WARN_EPOCHS, REFUSE_EPOCHS)}


def sections(dataset: Dataset, rows: int) -> list[Html]:
    """All of them, in order."""
    (plan,) = dataset.output(".plan").to_table().to_pylist()
    spec = json.loads(plan["spec"])
    report = dataset.output(".report").to_table().to_pylist()
    ledger = dataset.output(".token_ledger").to_table().to_pylist()
    whole = sorted(
        (row for row in report if row["stage"] == WHOLE), key=lambda row: -row["observed_tokens"]
    )
    return [
        summary(dataset, _facts(dataset, spec)),
        _shares(whole, report, _injected_name(spec)),
        _epochs(whole),
        _schedule(spec, [row["source"] for row in whole]),
        _tokens(ledger, [row["source"] for row in whole]),
        _controls(whole),
        origin(dataset),
        recipe(dataset),
    ]


def _facts(dataset: Dataset, spec: dict[str, Any]) -> dict[str, Any]:
    config = build_of(dataset).get("config", {})
    return {
        "token positions": sum(s["rows"] * s["seq"] for s in spec["segments"]),
        "optimiser steps": sum(s["rows"] // s["batch"] for s in spec["segments"]),
        "sources": len(spec["sources"]),
        "packing": config.get("pack"),
        "attention within": spec["attention"],
        "seed": spec["seed"],
        "tokenizer": spec["tokenizer"],
    }


def _injected_name(spec: dict[str, Any]) -> str | None:
    place = spec["injected"]["source"]
    return None if place is None else str(spec["sources"][place]["name"])


def _shares(whole: Rows, report: Rows, injected: str | None) -> Html:
    """Requested against observed, for the whole mixture and for each stage."""
    labels = [row["source"] for row in whole]
    series = {
        "requested": [row["requested"] for row in whole],
        "observed": [row["observed_tokens"] for row in whole],
    }
    dealt = [row for row in whole if row["source"] != injected]  # by weights, not by position
    part = sum(row["observed_rows"] for row in dealt) or 1.0
    drift = max((abs(row["observed_rows"] / part - row["requested"]) for row in dealt), default=0.0)
    aside = ", injected ones aside," if injected else ""
    said = (
        f"Shares of rows{aside} are within {100 * drift:.3g} percentage points of what was asked; "
        "those of tokens differ from them where one source's rows hold more padding."
    )
    stages = sorted({row["stage"] for row in report} - {WHOLE})
    parts = []
    for stage in stages if len(stages) > 1 else []:
        rows = [row for row in report if row["stage"] == stage]
        title = f"Stage {stage}, from token {rows[0]['first_token']:,}: {rows[0]['weights']}"
        parts.append(details(title, _share_table(rows)))
    chosen = whole[0]["weights"] if whole else ""
    return section(
        "Shares",
        tag("p", f"Weights: {chosen}. {said}"),
        beside(bars("Shares of the tokens", labels, series, percent), _share_table(whole)),
        *parts,
    )


def _share_table(rows: Rows) -> Html:
    columns = {
        "source": "source",
        "requested": "requested",
        "observed_rows": "of rows",
        "observed_tokens": "of tokens",
        "tokens": "tokens",
    }
    return table(columns, rows, shares=["requested", "observed_rows", "observed_tokens"])


def _epochs(whole: Rows) -> Html:
    labels = [row["source"] for row in whole]
    picture = dots(
        "Passes over each source",
        labels,
        {"epochs": [row["epochs"] for row in whole]},
        _MARKS,
        lambda value: f"{value:.3g}",
    )
    rows = [
        {**row, "worth_share": row["effective_tokens"] / row["tokens"] if row["tokens"] else None}
        for row in whole
    ]
    columns = {
        "source": "source",
        "unique_tokens": "tokens there",
        "tokens": "tokens seen",
        "epochs": "epochs",
        "effective_tokens": "worth in new",
        "worth_share": "of those seen",
    }
    law = (
        f"Up to {WARN_EPOCHS:g} epochs a repetition is nearly as good as new data; beyond "
        f"{REFUSE_EPOCHS:g} a mixture is refused unless its `max_epochs` says otherwise. What "
        "repeated tokens are worth is the repetition law's word (arXiv 2305.16264)."
    )
    return section("Epochs", note(law), beside(picture, table(columns, rows)))


def _schedule(spec: dict[str, Any], order: list[str]) -> Html:
    """Weights, row length and batch over token positions."""
    segments = spec["segments"]
    edges = [0, *accumulate(s["rows"] * s["seq"] for s in segments)]
    place = {source["name"]: n for n, source in enumerate(spec["sources"])}
    shares = {
        name: [s["counts"][place[name]] / max(s["rows"], 1) for s in segments] for name in order
    }
    names = order if len(order) <= BANDS + 1 else order[:BANDS]
    bands = {name: shares[name] for name in names}
    if left := [shares[name] for name in order if name not in bands]:
        bands[f"{len(left)} others"] = [sum(column) for column in zip(*left, strict=True)]
    ramps = [
        steps("Row length in tokens", edges, {"row length": [s["seq"] for s in segments]}),
        steps("Rows an optimiser step", edges, {"batch": [s["batch"] for s in segments]}),
        steps(
            "Tokens an optimiser step",
            edges,
            {"tokens": [s["batch"] * s["seq"] for s in segments]},
        ),
    ]
    rows = [
        {"segment": n, "from": edges[n], "rows": s["rows"], "seq": s["seq"], "batch": s["batch"]}
        for n, s in enumerate(segments)
    ]
    columns = {
        "segment": "segment",
        "from": "from token",
        "rows": "rows",
        "seq": "row length",
        "batch": "rows a step",
    }
    picture = area("Shares of the rows over token positions", edges, bands)
    changing = len({(s["seq"], s["batch"]) for s in segments}) > 1
    return section(
        "Schedule",
        beside(picture, table(columns, rows)),
        gallery(ramps) if changing else None,
        _injected(spec),
    )


def _injected(spec: dict[str, Any]) -> Html | None:
    positions = spec["injected"]["positions"]
    if not positions:
        return None
    few = ", ".join(f"{position:,}" for position in positions[:10])
    more = " …" if len(positions) > 10 else ""
    return tag("p", f"{len(positions):,} rows are injected at chosen positions: {few}{more}")


def _tokens(ledger: Rows, order: list[str]) -> Html:
    """What became of every token: the ledger, summed over segments."""
    totals: dict[str, dict[str, Any]] = {}
    for row in sorted(ledger, key=lambda row: row["segment"]):
        found = totals.setdefault(row["source"], {"source": row["source"]})
        for name in ("rows", "drawn", "kept", "split", "dropped", "padding", "masked", "documents"):
            found[name] = found.get(name, 0) + row[name]
        found["carried"] = row["carried"]  # left over at the end; before, the next segment's
    rows = [totals[name] for name in order if name in totals]
    labels = [row["source"] for row in rows]
    picture = stacked(
        "Tokens drawn and padding, by what became of them",
        labels,
        {fate: [row[fate] for row in rows] for fate in FATES},
    )
    columns = ["source", "documents", "drawn", "kept", "split", "dropped", "carried"]
    every = {name: sum(row[name] for row in rows) for name in (*columns[1:], "padding", "masked")}
    listed = [*rows, {"source": "all", **every}] if len(rows) > 1 else rows
    said = (
        "Tokens drawn are kept (their document stands whole in a row), split (it is cut), dropped, "
        "or carried (left over at the end). Padding fills rows; masked tokens are in rows, but "
        "without loss."
    )
    return section(
        "Token ledger",
        note(said),
        picture,
        table([*columns, "padding", "masked"], listed),
    )


def _controls(whole: Rows) -> Html:
    """What the heuristics would have asked for."""
    names = [name for name in CONTROLS if any(row[name] is not None for row in whole)]
    if not names:
        return join()
    labels = [row["source"] for row in whole]
    series = {"this mixture": [row["requested"] for row in whole]}
    series |= {name: [row[name] or 0.0 for row in whole] for name in names}
    shares = ["requested", *names]
    columns = {"source": "source", "requested": "this mixture", **{name: name for name in names}}
    picture = dots("Shares by each heuristic", labels, series, {}, short_percent)
    said = "No published method beats all of these always; compare before you trust yours."
    return section("Controls", note(said), beside(picture, table(columns, whole, shares=shares)))
