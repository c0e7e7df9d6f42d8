"""What pictures share: scales, ticks, legends, and the element around them.

In: a range of numbers, a size in units of the picture. Out: positions, ticks, `Html`.
Shown by: `gristmill page web/clean`. Limit: labels are as wide as their letters in a guess.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipelines.pages.html import Child, Html, tag

WIDTH = 560  # of a picture, in its own units: about the pixels it takes
COLOURS = 7  # of series; what comes after shares the grey one
Form = Callable[[float], str]
LETTER = 7.0  # mean width of a letter at 12 px; texts wider than this guess get less room


@dataclass(frozen=True, slots=True)
class Scale:
    """From numbers to positions; `log` for numbers above 0 that differ by orders of magnitude."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    whole: bool = False  # ticks at whole numbers only

    def __call__(self, value: float) -> float:
        low, high = self._of(self.low), self._of(self.high)
        share = (self._of(value) - low) / (high - low) if high > low else 0.0
        return self.start + share * (self.end - self.start)

    def _of(self, value: float) -> float:
        return math.log10(max(value, 1e-300)) if self.log else value

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers within the range: 1, 2, 5 times powers of ten, or powers alone."""
        if self.log:
            first = math.ceil(math.log10(self.low) - 1e-9)
            last = math.floor(math.log10(self.high) + 1e-9)
            powers = [10.0**n for n in range(first, last + 1)]
            if len(powers) < 3:
                powers = [
                    m * 10.0**n for n in range(first - 1, last + 1) for m in (1, 1.5, 2, 3, 5, 7)
                ]
            inside = [tick for tick in powers if self.low * 0.999 <= tick <= self.high * 1.001]
            return inside[:: math.ceil(len(inside) / most)] if inside else []
        step = max(nice((self.high - self.low) / most), float(self.whole))
        if not step:
            return [self.low]
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [n * step for n in range(first, last + 1)]


def nice(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    if value <= 0 or not math.isfinite(value):
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= value * 0.9999)


def compact(value: float) -> str:
    """1234567 -> 1.23M; 0.25 -> 0.25."""
    if value and not math.isfinite(value):
        return str(value)
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.9995:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def amount(value: float) -> str:
    """A count, exact below a million."""
    return f"{value:,.0f}" if value < 1e6 and value == int(value) else compact(value)


def place(value: float) -> str:
    """A position with one decimal, so that bytes do not hang on the last bit of a sum."""
    return f"{value + 0.0:.1f}".replace("-0.0", "0.0").removesuffix(".0")


def clipped(label: str, letters: int) -> str:
    """A label that fits: its middle is left out, since names differ at their ends."""
    if len(label) <= letters:
        return label
    end = max(letters * 3 // 5, 1)
    return f"{label[: max(letters - end - 1, 1)]}…{label[-end:]}"


def told_apart(ticks: Sequence[float]) -> Form:
    """Numbers for an axis: as short as they can be with no two alike."""
    if len({compact(tick) for tick in ticks}) == len(ticks):
        return compact
    gap = min((b - a for a, b in pairwise(ticks)), default=1.0)
    digits = max(0, -math.floor(math.log10(gap) + 1e-9)) if gap > 0 else 0
    return lambda value: f"{value:,.{digits}f}"


def colour(series: int) -> int:
    """The colour of a series; the grey one for all after the last."""
    return min(series, COLOURS)


def picture(
    title: str, summary: str, height: float, shapes: Iterable[Child], legend: Sequence[str] = ()
) -> Html:
    """A figure: caption, the drawing with its text for those who cannot see it, and a legend."""
    drawing = tag(
        "svg",
        shapes,
        viewBox=f"0 0 {WIDTH} {place(height)}",
        role="img",
        aria_label=f"{title}. {summary}",
    )
    parts: list[Child] = [tag("figcaption", title), drawing]
    if legend:
        keys = [tag("li", tag("i", class_=f"f{colour(n)}"), name) for n, name in enumerate(legend)]
        parts.append(tag("ul", keys, class_="legend"))
    return tag("figure", parts)


def words(x: float, y: float, value: str, anchor: str = "start", quiet: bool = False) -> Html:
    """Text at a position."""
    return tag(
        "text",
        value,
        x=place(x),
        y=place(y),
        text_anchor=None if anchor == "start" else anchor,
        class_="quiet" if quiet else None,
    )


def line(x1: float, y1: float, x2: float, y2: float, class_: str = "grid") -> Html:
    """A straight line."""
    ends = {"x1": place(x1), "y1": place(y1), "x2": place(x2), "y2": place(y2)}
    return tag("line", **ends, class_=class_)


def x_axis(scale: Scale, top: float, bottom: float, form: Form | None = None) -> list[Html]:
    """Grid lines and numbers under them."""
    parts = []
    ticks = scale.ticks()
    form = form or told_apart(ticks)
    for tick in ticks:
        x = scale(tick)
        parts += [line(x, top, x, bottom), words(x, bottom + 15, form(tick), "middle", True)]
    return parts


def y_axis(scale: Scale, left: float, right: float, form: Form | None = None) -> list[Html]:
    """Grid lines and numbers left of them."""
    parts = []
    ticks = scale.ticks(5)
    form = form or told_apart(ticks)
    for tick in ticks:
        y = scale(tick)
        parts += [line(left, y, right, y), words(left - 6, y + 4, form(tick), "end", True)]
    return parts
