"""The curves of a stage as one picture.

In: the lines of its log. Out: a PNG: loss, learning rate, gradient norm, speed; held-out loss where
it was measured; below them what the loss tells, such as rewards or the accuracy of pairs.
Shown by: `training/curves.png` beside any trained model.
Limit: at most 4,000 points a curve are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

RATE = "tokens_per_second"
MOST = 4000
TOLD = {  # of what a loss tells, the first four that are there
    "reward": "reward",
    "accuracy": "pairs in the right order",
    "margin": "margin of rewards",
    "kl": "KL from the reference, nats",
    "length": "tokens of a completion",
    "entropy": "entropy, nats",
}
GREY, BLUE, RED = "#b8bcc4", "#1f5fa8", "#b3402a"


def draw(lines: Sequence[dict[str, Any]], unit: str, path: Path) -> None:
    """One panel a quantity, all over the tokens (or rows) that were read."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, MaxNLocator

    kept = lines[:: -(-len(lines) // MOST) or 1]
    panels = [("loss", "loss, nats"), ("lr", "learning rate"), ("grad_norm", "gradient norm")]
    panels.append((RATE, "tokens a second"))
    panels += [(n, title) for n, title in TOLD.items() if any(n in line for line in kept)][:4]
    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(9, 3 * rows))
    figure.subplots_adjust(0.07, 0.16 / rows, 0.98, 1 - 0.17 / rows, 0.18, 0.32)
    axes = list(figure.subplots(rows, 2).flat)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    for axis, (name, title) in zip(axes[: len(panels)], panels, strict=True):
        x, y = _points(kept, name, unit)
        axis.set_title(title, fontsize=10, loc="left")
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
        axis.set_xlabel(unit, fontsize=8)
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        if name == RATE:
            axis.yaxis.set_major_formatter(EngFormatter(sep=""))
        if name == "lr":
            axis.plot(x, y, color=BLUE, linewidth=1.4)
            axis.set_ylim(bottom=0)
            continue
        axis.plot(x, y, color=GREY, linewidth=0.8, label="a step")
        axis.plot(x, smoothed(y), color=BLUE, linewidth=1.4, label="smoothed")
        if name == "loss":
            held_x, held_y = _points(lines, "held_out", unit)
            if held_x:
                axis.plot(held_x, held_y, "o-", color=RED, markersize=3, label="held out")
            axis.legend(fontsize=8, frameon=False)
        elif name not in TOLD:
            axis.set_ylim(bottom=0)
    figure.savefig(path, dpi=110)


def smoothed(values: Sequence[float]) -> list[float]:
    """Means over a window around each value, a 25th of them all wide; narrower at the ends."""
    half = max(1, len(values) // 50)
    sums = [0.0, *accumulate(values)]
    found = []
    for n in range(len(values)):
        reach = min(half, n, len(values) - 1 - n)
        found.append((sums[n + reach + 1] - sums[n - reach]) / (2 * reach + 1))
    return found


def _points(
    lines: Sequence[dict[str, Any]], name: str, unit: str
) -> tuple[list[float], list[float]]:
    kept = [line for line in lines if line.get(name) is not None]
    return [line[unit] for line in kept], [line[name] for line in kept]
