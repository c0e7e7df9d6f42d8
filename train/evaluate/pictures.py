"""Pictures of an evaluation: heat maps by length and depth, dots with intervals for the rest.

In: rows of the main output. Out: PNG files. Shown by: `ls STORE/eval/base.pictures/*`.
Limit: at most forty dots a picture; the rows have all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

Row = Mapping[str, Any]
MOST = 40  # dots
INK, COLOURS = "#222222", ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b83280", "#744210")


def draw(rows: Sequence[Row], folder: Path) -> list[str]:
    """Every picture that the rows ask for; their names."""
    made = []
    for task in _values(rows, "task"):
        of_task = [row for row in rows if row["task"] == task]
        cells = [row for row in of_task if row["depth"] is not None]
        for model in _values(cells, "model"):
            for metric in _values(cells, "metric"):
                own = [r for r in cells if (r["model"], r["metric"]) == (model, metric)]
                made.append(_save(heat_map(own), folder, task, model, metric))
        for metric in _values(of_task, "metric"):
            whole = [r for r in of_task if r["metric"] == metric and r["depth"] is None]
            if whole:
                made.append(_save(dots(whole), folder, task, metric))
    return made


def heat_map(cells: Sequence[Row]) -> Figure:
    """A metric by length (across) and depth (down), 0 to 1."""
    lengths = sorted({row["length"] for row in cells})
    depths = sorted({row["depth"] for row in cells})
    values = {(row["depth"], row["length"]): row["value"] for row in cells}
    figure = Figure((1.6 + 0.9 * len(lengths), 1.4 + 0.5 * len(depths)), layout="constrained")
    axes = figure.add_subplot()
    grid = [[values[depth, length] for length in lengths] for depth in depths]
    image = axes.imshow(grid, vmin=0, vmax=1, cmap="RdYlGn", aspect="auto")
    for y, line in enumerate(grid):
        for x, value in enumerate(line):
            ink = INK if 0.15 < value < 0.9 else "white"
            axes.text(x, y, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks(range(len(lengths)), [f"{length:,}" for length in lengths])
    axes.set_yticks(range(len(depths)), [f"{depth:.0%}" for depth in depths])
    axes.set_xlabel("tokens of context")
    axes.set_ylabel("depth of the fact")
    axes.set_title(f"{cells[0]['model']}: {cells[0]['task']}, {cells[0]['metric']}", fontsize=9)
    figure.colorbar(image)
    return figure


def dots(rows: Sequence[Row]) -> Figure:
    """A metric of models and sources, with 95% intervals."""
    shown = shown_of(rows)
    models = _values(shown, "model")
    figure = Figure((7, 1.1 + 0.28 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    for place, row in enumerate(shown):
        colour = COLOURS[models.index(row["model"]) % len(COLOURS)]
        if row["low"] is not None:
            axes.plot([row["low"], row["high"]], [place, place], color=colour, lw=2, alpha=0.5)
        axes.plot([row["value"]], [place], "o", color=colour, ms=5)
    axes.set_yticks(range(len(shown)), [_name(row, len(models) > 1) for row in shown], fontsize=8)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    better = rows[0]["better"]
    hint = "" if better == "neither" else f" ({better} is better)"
    more = f", {len(shown)} of {len(rows)} rows" if len(rows) > len(shown) else ""
    axes.set_title(f"{rows[0]['task']}: {rows[0]['metric']}{hint}{more}", fontsize=9)
    return figure


def shown_of(rows: Sequence[Row]) -> list[Row]:
    """The first rows of each model, as many of each: no model is left out for another's sources."""
    models = _values(rows, "model")
    if len(rows) <= MOST:
        return list(rows)
    each = max(1, MOST // len(models))
    return [r for m in models for r in [row for row in rows if row["model"] == m][:each]][:MOST]


def save(figure: Figure, path: Path) -> None:
    """The same figure gives the same bytes."""
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _save(figure: Figure, folder: Path, *parts: str) -> str:
    name = "-".join(part.replace("/", "_") for part in parts) + ".png"
    save(figure, folder / name)
    return name


def _name(row: Row, several: bool) -> str:
    source = f"{row['length']:,} tokens" if row["length"] is not None else row["source"]
    return f"{row['model']} · {source}" if several else str(source)


def _values(rows: Iterable[Row], key: str) -> list[str]:
    return list(dict.fromkeys(row[key] for row in rows))
