"""The page of fitted weights: predicted against observed, rank correlations, weights and controls.

In: the main output of `use: mixture_fit`, with `.laws` and `.predictions` beside it.
Out: the page's sections. Shown by: `gristmill page best --out fit.html`.
Limit: at most TARGETS scatters; all predictions stand in `.predictions`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gristmill.store import Dataset
from mixtures.weights.fit_report import TEST_FOLD
from pipelines.pages.common import build_of, origin, recipe, summary
from pipelines.pages.html import Html, note, percent, section, table, tag
from pipelines.pages.svg.bars import bars
from pipelines.pages.svg.plots import gallery, scatter

Rows = list[dict[str, Any]]
TARGETS = 24
_SHARES = ("weight", "natural", "uniform", "temperature", "unimax", "cap", "highest_share")


def sections(dataset: Dataset, rows: int) -> list[Html]:
    """All of them, in order."""
    weights = sorted(dataset.to_table().to_pylist(), key=lambda row: -row["weight"])
    laws = dataset.output(".laws").to_table().to_pylist()
    predictions = dataset.output(".predictions").to_table().to_pylist()
    facts = build_of(dataset).get("facts", {})
    pairs = {
        "runs": len({(row["run"], row["fold"] == TEST_FOLD) for row in predictions}),
        "targets": len(laws),
        "held-out rank correlation": _digits(facts.get("spearman")),
        "a straight line's": _digits(facts.get("ols_spearman")),
    }
    return [
        summary(dataset, pairs),
        _weights(weights),
        _predictions(laws, predictions),
        _laws(laws),
        _effects(laws, [row["source"] for row in weights]),
        origin(dataset),
        recipe(dataset),
    ]


def _digits(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _weights(weights: Rows) -> Html:
    labels = [row["source"] for row in weights]
    series = {name: [row[name] for row in weights] for name in ("weight", "natural", "uniform")}
    names = [name for name in _SHARES if any(row[name] is not None for row in weights)]
    columns = ["source", *names]
    columns += [name for name in ("epochs",) if any(row[name] is not None for row in weights)]
    headings = {name: name.replace("_", " ") for name in columns}
    picture = bars("Fitted weights beside natural and uniform ones", labels, series, percent)
    said = "`cap` is the largest share within the epoch limit, `highest share` the most in any run."
    return section("Weights", note(said), picture, table(headings, weights, shares=names))


def _predictions(laws: Rows, predictions: Rows) -> Html:
    """A scatter a target: runs that the fit had not seen."""
    pictures = []
    for law in laws[:TARGETS]:
        rows = [row for row in predictions if row["target"] == law["target"]]
        held = _points(row for row in rows if row["fold"] != TEST_FOLD)
        groups = {"held-out runs": held}
        if test := _points(row for row in rows if row["fold"] == TEST_FOLD):
            groups["test runs"] = test
        told = f"rank correlation {_digits(law['spearman']) or 'not known'}"
        title = f"{law['target']}: {told}"
        words = f"{sum(map(len, groups.values()))} runs; {told}, a straight line's "
        words += _digits(law["ols_spearman"]) or "not known"
        pictures.append(scatter(title, groups, "observed", "predicted", words))
    left = len(laws) - TARGETS
    more = note(f"{left} more targets in `.predictions`") if left > 0 else None
    said = "Each run is predicted by a law fitted without it; on the dashed line both are equal."
    return section("Predictions", note(said), gallery(pictures), more)


def _points(rows: Any) -> list[tuple[float, float]]:
    pairs = [(row["observed"], row["predicted"]) for row in rows]
    return [(a, b) for a, b in pairs if a is not None and b is not None and math.isfinite(a + b)]


def _laws(laws: Rows) -> Html:
    columns = {
        "target": "target",
        "target_weight": "counts for",
        "spearman": "held-out rank correlation",
        "ols_spearman": "a straight line's",
        "test_spearman": "test rank correlation",
        "test_ols_spearman": "a straight line's",
        "residual": "residual",
        "lowest_seen": "lowest seen",
        "loss_fitted": "fitted mixture",
        "loss_natural": "natural",
        "loss_uniform": "uniform",
    }
    there = {
        key: name for key, name in columns.items() if any(row[key] is not None for row in laws)
    }
    return section("Laws", table(there, laws, "Losses that the laws expect of each mixture"))


def _effects(laws: Rows, sources: Sequence[str]) -> Html:
    """t of each target and source, less the target's mean: what one more share does."""
    found = []
    for law in laws:
        values = {entry["source"]: entry["value"] for entry in law["t"]}
        mean = sum(values.values()) / max(len(values), 1)
        found.append((law["target"], {name: values.get(name, 0.0) - mean for name in sources}))
    most = max((abs(v) for _, values in found for v in values.values()), default=0.0) or 1.0
    rows = [
        {"source": name, **{target: _shade(values[name], most) for target, values in found}}
        for name in sources
    ]
    said = (
        "t of the law, less its mean over sources: below 0 (blue), more of the source lowers the "
        "target's loss; above 0 (orange), it raises it."
    )
    targets = {target: target for target, _ in found}
    effects = table({"source": "source", **targets}, rows)
    return section("Effects", note(said), effects)


def _shade(value: float, most: float) -> Html:
    part = round(70 * abs(value) / most)
    ink = "--c0" if value < 0 else "--c1"
    style = f"background: color-mix(in srgb, var({ink}) {part}%, transparent)"
    return tag("span", f"{value:+.2f}", class_="shade", style=style)
