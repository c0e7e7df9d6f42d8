"""Horizontal bars and dots: numbers of named things.

In: labels, and one or more numbers for each. Out: a figure.
Shown by: `gristmill page web/clean`. Limit: at most ROWS labels; what is left out is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipelines.pages.html import Html, percent, tag
from pipelines.pages.svg.frame import (
    LETTER,
    WIDTH,
    Form,
    Scale,
    amount,
    clipped,
    colour,
    line,
    picture,
    place,
    words,
    x_axis,
)

ROWS = 30  # labels of one picture
_LABELS = 230  # most room for them
_VALUE = 62  # room behind a bar


def bars(
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    form: Form = amount,
) -> Html:
    """Bars from 0, one a series and label."""
    shown = labels[:ROWS]
    left = _left(shown)
    highest = max((value for values in series.values() for value in values[:ROWS]), default=0)
    scale = Scale(0, highest or 1, left, WIDTH - _VALUE)
    thick = 16 if len(series) == 1 else 14
    row = thick * len(series) + 8
    shapes = []
    for n, label in enumerate(shown):
        shapes.append(_label(label, left, 4 + n * row + (row - 8) / 2 + 4))
        for s, (name, values) in enumerate(series.items()):
            y = 4 + n * row + s * thick
            said = f"{label}, {name}: {form(values[n])}" if len(series) > 1 else label
            end = scale(values[n])
            shapes.append(_bar(left, end, y, thick - 1, s, f"{said} {form(values[n])}"))
            shapes.append(
                words(end + 5, y + thick - (4 if len(series) == 1 else 3), form(values[n]))
            )
    legend = list(series) if len(series) > 1 else []
    summary = _summary(labels, series, form)
    return picture(_titled(title, labels), summary, 8 + len(shown) * row, shapes, legend)


def stacked(
    title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]], form: Form = amount
) -> Html:
    """One bar a label, as wide as 100 %, split among the series."""
    shown = labels[:ROWS]
    left = _left(shown)
    scale = Scale(0, 1, left, WIDTH - 24)
    row = 26
    shapes = x_axis(scale, 0, len(shown) * row, lambda share: f"{100 * share:.0f} %")
    for n, label in enumerate(shown):
        total = sum(values[n] for values in series.values())
        y, done = 4 + n * row, 0.0
        shapes.append(_label(label, left, y + 13))
        for s, (name, values) in enumerate(series.items()):
            share = values[n] / total if total else 0.0
            if share > 0:
                said = f"{label}, {name}: {form(values[n])} ({percent(share)})"
                shapes.append(_bar(scale(done), scale(done + share), y, row - 8, s, said))
            done += share
    summary = _summary(labels, series, form)
    return picture(_titled(title, labels), summary, len(shown) * row + 20, shapes, list(series))


def dots(
    title: str,
    labels: Sequence[str],
    series: Mapping[str, Sequence[float]],
    marks: Mapping[float, str],
    form: Form = amount,
) -> Html:
    """A dot a series and label on a logarithmic axis, with vertical lines at `marks`.

    The first of several series is a ring, so that one of the same value is seen inside it.
    """
    shown, ringed = labels[:ROWS], len(series) > 1
    left = _left(shown)
    values = [value for row in series.values() for value in row[:ROWS] if value > 0]
    low, high = min([*values, *marks]), max([*values, *marks])
    scale = Scale(low / 1.3, high * 1.3, left, WIDTH - 12, log=True)
    row, top = 24, 18
    bottom = top + len(shown) * row
    shapes = x_axis(scale, top, bottom, form)
    for mark, name in marks.items():
        shapes += [line(scale(mark), top, scale(mark), bottom, "mark")]
        shapes += [words(scale(mark), top - 5, name, "middle", True)]
    for n, label in enumerate(shown):
        y = top + n * row + row / 2
        shapes += [_label(label, left, y + 4), line(left, y, WIDTH - 12, y)]
        for s, (name, row_values) in enumerate(series.items()):
            if row_values[n] > 0:
                said = f"{label}, {name}: {form(row_values[n])}"
                shapes.append(
                    tag(
                        "circle",
                        tag("title", said),
                        cx=place(scale(row_values[n])),
                        cy=place(y),
                        r="6.5" if ringed and not s else "4",
                        class_=f"ring s{colour(s)}" if ringed and not s else f"f{colour(s)}",
                    )
                )
    legend = list(series) if len(series) > 1 else []
    return picture(
        _titled(title, labels), _summary(labels, series, form), bottom + 20, shapes, legend
    )


def _titled(title: str, labels: Sequence[str]) -> str:
    return title if len(labels) <= ROWS else f"{title}: the first {ROWS} of {len(labels):,}"


def _left(labels: Sequence[str]) -> float:
    return min(_LABELS, 14 + LETTER * max((len(label) for label in labels), default=0))


def _label(label: str, left: float, y: float) -> Html:
    fits = int((left - 12) / LETTER)
    inside = [label] if len(label) <= fits else [clipped(label, fits), tag("title", label)]
    return tag("text", inside, x=place(left - 8), y=place(y), text_anchor="end")


def _bar(start: float, end: float, y: float, thick: float, series: int, said: str) -> Html:
    return tag(
        "rect",
        tag("title", said),
        x=place(start),
        y=place(y),
        width=place(max(end - start, 0.5)),
        height=place(thick),
        class_=f"f{colour(series)}",
    )


def _summary(labels: Sequence[str], series: Mapping[str, Sequence[float]], form: Form) -> str:
    """In words: the first labels and their numbers, and how many there are."""
    said = [
        f"{label}: " + ", ".join(form(values[n]) for values in series.values())
        for n, label in enumerate(labels[:5])
    ]
    more = f"; {len(labels) - 5} more in the table" if len(labels) > 5 else ""
    return "; ".join(said) + more
