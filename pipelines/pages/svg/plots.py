"""Pictures over an axis of numbers: histograms, steps, stacked areas and scatters.

In: edges and counts, or points. Out: a figure. Shown by: `gristmill page web/clean`.
Limit: a histogram's bins are drawn as given; choose them before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pipelines.pages.html import Html, join, percent, tag
from pipelines.pages.svg.frame import (
    LETTER,
    WIDTH,
    Form,
    Scale,
    colour,
    compact,
    line,
    picture,
    place,
    told_apart,
    words,
    x_axis,
    y_axis,
)

_LEFT, _TOP, _HEIGHT = 52.0, 8.0, 190.0
_RIGHT = WIDTH - 14.0


def histogram(
    title: str,
    edges: Sequence[float],
    counts: Sequence[int],
    log: bool = False,
    marks: Mapping[float, str] | None = None,
) -> Html:
    """`counts[i]` values between `edges[i]` and `edges[i + 1]`."""
    scale = Scale(edges[0], edges[-1], _LEFT, _RIGHT, log)
    tall = Scale(0, max([*counts, 1]), _TOP + _HEIGHT, _TOP + 14, whole=True)
    shapes = [*y_axis(tall, _LEFT, _RIGHT), *x_axis(scale, _TOP + _HEIGHT, _TOP + _HEIGHT)]
    form = told_apart(edges)
    for n, count in enumerate(counts):
        if count:
            start, end = scale(edges[n]), scale(edges[n + 1])
            said = f"{form(edges[n])} to {form(edges[n + 1])}: {count:,}"
            shapes.append(
                tag(
                    "rect",
                    tag("title", said),
                    x=place(start),
                    y=place(tall(count)),
                    width=place(max(end - start - 0.6, 0.5)),
                    height=place(_TOP + _HEIGHT - tall(count)),
                    class_="f0",
                )
            )
    for mark, name in (marks or {}).items():
        x = scale(mark)
        shapes += [
            line(x, _TOP + 12, x, _TOP + _HEIGHT, "mark"),
            words(x, _TOP + 8, name, "middle"),
        ]
    most = max(range(len(counts)), key=lambda n: counts[n]) if counts else 0
    summary = (
        f"{sum(counts):,} values from {form(edges[0])} to {form(edges[-1])}; most, "
        f"{max([*counts, 0]):,}, from {form(edges[most])} to {form(edges[most + 1])}"
    )
    return picture(title, summary, _TOP + _HEIGHT + 22, shapes)


def steps(
    title: str, edges: Sequence[float], series: Mapping[str, Sequence[float]], form: Form = compact
) -> Html:
    """Lines that are constant between two edges, from 0 up."""
    scale = Scale(edges[0], edges[-1], _LEFT, _RIGHT)
    height = 110.0
    highest = max((value for values in series.values() for value in values), default=1)
    tall = Scale(0, (highest or 1) * 1.1, _TOP + height, _TOP)
    shapes = [*y_axis(tall, _LEFT, _RIGHT, form), *x_axis(scale, _TOP, _TOP + height)]
    for s, values in enumerate(series.values()):
        points = []
        for n, value in enumerate(values):
            y = place(tall(value))
            points += [f"{place(scale(edges[n]))},{y}", f"{place(scale(edges[n + 1]))},{y}"]
        shapes.append(tag("polyline", points=" ".join(points), class_=f"line s{colour(s)}"))
    said = [
        f"{name}: {form(values[0])} at first, {form(values[-1])} at last"
        for name, values in series.items()
    ]
    legend = list(series) if len(series) > 1 else []
    return picture(title, "; ".join(said), _TOP + height + 22, shapes, legend)


def area(title: str, edges: Sequence[float], series: Mapping[str, Sequence[float]]) -> Html:
    """Shares stacked to 1, constant between two edges."""
    scale = Scale(edges[0], edges[-1], _LEFT, _RIGHT)
    tall = Scale(0, 1, _TOP + _HEIGHT, _TOP)
    below = [0.0] * (len(edges) - 1)
    shapes: list[Html] = []
    for s, (name, values) in enumerate(series.items()):
        rects = []
        for n, value in enumerate(values):
            total = sum(other[n] for other in series.values())
            share = value / total if total else 0.0
            if share > 0:
                top, bottom = tall(below[n] + share), tall(below[n])
                said = (
                    f"{name}: {percent(share)} from {compact(edges[n])} to {compact(edges[n + 1])}"
                )
                rects.append(
                    tag(
                        "rect",
                        tag("title", said),
                        x=place(scale(edges[n])),
                        y=place(top),
                        width=place(scale(edges[n + 1]) - scale(edges[n]) + 0.3),
                        height=place(bottom - top),
                    )
                )
            below[n] += share
        shapes.append(tag("g", rects, class_=f"f{colour(s)}", shape_rendering="crispEdges"))
    shapes += y_axis(tall, _LEFT, _RIGHT, lambda share: f"{100 * share:.0f} %")
    shapes += x_axis(scale, _TOP + _HEIGHT, _TOP + _HEIGHT)
    told = [
        f"{name}: {percent(values_of[0])} at first, {percent(values_of[-1])} at last"
        for name, values_of in series.items()
    ]
    return picture(title, "; ".join(told), _TOP + _HEIGHT + 22, shapes, list(series))


def scatter(
    title: str,
    groups: Mapping[str, Sequence[tuple[float, float]]],
    across: str,
    up: str,
    summary: str = "",
) -> Html:
    """Points of (x, y), and the line on which both are equal."""
    points = [
        point for group in groups.values() for point in group if all(map(math.isfinite, point))
    ]
    numbers = [value for point in points for value in point] or [0.0, 1.0]
    margin = (max(numbers) - min(numbers)) * 0.05 or abs(numbers[0]) * 0.05 or 1.0
    low, high = min(numbers) - margin, max(numbers) + margin
    side = 360.0
    x, y = Scale(low, high, 64, _RIGHT), Scale(low, high, _TOP + side, _TOP)
    shapes = [*x_axis(x, _TOP, _TOP + side), *y_axis(y, 64, _RIGHT)]
    shapes.append(line(x(low), y(low), x(high), y(high), "mark"))
    for s, group in enumerate(groups.values()):
        inside = [
            tag("circle", cx=place(x(a)), cy=place(y(b)), r="3.2", fill_opacity="0.75")
            for a, b in group
            if math.isfinite(a) and math.isfinite(b)
        ]
        shapes.append(tag("g", inside, class_=f"f{colour(s)}"))
    shapes.append(words(_RIGHT, _TOP + side + 32, across, "end", True))
    shapes.append(words(64 + LETTER, _TOP + 14, up, "start", True))
    names = list(groups) if len(groups) > 1 else []
    return picture(title, summary or f"{len(points)} points", _TOP + side + 40, shapes, names)


def gallery(pictures: Sequence[Html]) -> Html:
    """Several pictures in a grid."""
    return tag("div", join(*pictures), class_="pictures")
