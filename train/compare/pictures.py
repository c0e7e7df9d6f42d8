"""Pictures of a comparison: differences from the control with intervals; curves of several runs.

In: comparisons; logs of training. Out: figures. Shown by: `ls STORE/ablate/report.pictures/*`.
Limit: a panel a metric, twelve at most; the rows have all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gristmill.store import Dataset
from train.compare.statistics import CONTROL, NOISE, SEEDS, Comparison
from train.evaluate.pictures import COLOURS

PANELS = 12
_GREY = "#888888"
_ITEMS: dict[str, Any] = {"color": "#222222", "lw": 1, "ls": "--", "marker": "|", "ms": 6}
_BELOW = 0.2  # of an arm's interval over seeds


def differences(found: Sequence[Comparison], control: str) -> Figure:
    """A panel a metric: each arm's difference from the control, its interval, its verdict."""
    metrics = list(dict.fromkeys(one.what for one in found))[:PANELS]
    arms = list(dict.fromkeys(one.arm for one in found if one.verdict != CONTROL))
    height = 0.9 + 0.32 * len(arms)
    figure = Figure((7.5, 0.7 + height * len(metrics)), layout="constrained")
    panels = figure.subplots(len(metrics), 1, squeeze=False)[:, 0]
    for axes, what in zip(panels, metrics, strict=True):
        for place, arm in enumerate(arms):
            one = next((c for c in found if c.what == what and c.arm == arm), None)
            if one is None or one.difference is None:
                continue
            colour = _GREY if one.verdict == NOISE else COLOURS[place % len(COLOURS)]
            if one.low is not None:
                axes.plot([one.low, one.high], [place, place], color=colour, lw=4, alpha=0.5)
            if one.items_low is not None:
                axes.plot([one.items_low, one.items_high], [place + _BELOW] * 2, **_ITEMS)
            face = colour if one.noise == SEEDS else "white"
            axes.plot([one.difference], [place], "o", color=colour, mfc=face)
            axes.annotate(
                one.verdict, (one.difference, place), (0, 5), textcoords="offset points",
                ha="center", fontsize=7, color=colour,
            )  # fmt: skip
        axes.axvline(0, color="#222222", lw=1)
        axes.set_yticks(range(len(arms)), arms, fontsize=8)
        axes.set_ylim(len(arms) - 0.4, -0.7)
        hint = "" if what.better == "neither" else f", {what.better} is better"
        length = "" if what.length is None else f", {what.length:,} tokens"
        axes.set_title(
            f"{what.task}: {what.metric}, {what.source}{length}: difference from {control}{hint}",
            fontsize=8,
        )
        axes.grid(axis="x", alpha=0.3)
    figure.legend(
        handles=[
            Line2D([], [], color=_GREY, lw=4, alpha=0.5, marker="o", label="over seeds"),
            Line2D([], [], **_ITEMS, label="over the test's items: not the noise of training"),
        ],
        loc="outside lower center", ncols=2, fontsize=7, frameon=False,
    )  # fmt: skip
    return figure


def curves(logs: Mapping[str, Sequence[Dataset]], column: str = "loss") -> Figure:
    """Logs of several runs in one picture: a colour a group, a line a run.

    Across: tokens (or rows) where every log has them, else optimiser steps.
    """
    figure = Figure((7.5, 4.2), layout="constrained")
    axes = figure.add_subplot()
    every = [set(log.schema.names) for group in logs.values() for log in group]
    across = next((x for x in ("tokens", "rows") if all(x in names for names in every)), "step")
    for place, (group, several) in enumerate(logs.items()):
        for number, log in enumerate(several):
            table = log.to_table([across, column])
            axes.plot(
                table[across].to_numpy(), table[column].to_numpy(), lw=1, alpha=0.8,
                color=COLOURS[place % len(COLOURS)], label=group if number == 0 else None,
            )  # fmt: skip
    axes.set_xlabel(across)
    axes.set_ylabel(column)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure
