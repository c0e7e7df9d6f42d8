"""HTML that cannot be broken by what it shows: text is escaped, only `Html` goes in as it is.

In: names, texts, numbers. Out: `Html`. Shown by: `gristmill page web/clean --out page.html`.
Limit: elements and attributes are not checked against the standard.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

_HTML_VOID = {"meta", "br", "col"}
_VOID = _HTML_VOID | {"line", "rect", "circle", "path", "polyline"}  # these are SVG
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
TABLE_ROWS = 200  # of one table; the dataset has the others
_STYLE = Path(__file__).with_name("style.css")
# A page needs nothing from anywhere, and what it shows may be hostile: the browser is told so.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


class Html(str):
    """Markup. Every other string is text."""

    __slots__ = ()


Child = Html | str | int | float | None


def text(value: str) -> Html:
    """Text as markup; control characters become a mark, as in the terminal."""
    return Html(html.escape(_CONTROL.sub("\ufffd", value), quote=True))


def tag(element: str, /, *children: Child | Iterable[Child], **attributes: Any) -> Html:
    """An element. `class_` is class, `aria_label` aria-label; None leaves an attribute out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(shown(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if element in _VOID and not children:
        return Html(f"<{element}{given}>" if element in _HTML_VOID else f"<{element}{given}/>")
    return Html(f"<{element}{given}>{join(*children)}</{element}>")


def join(*children: Child | Iterable[Child]) -> Html:
    """Markup one after another; texts among it are escaped."""
    parts = []
    for child in children:
        if isinstance(child, Html):
            parts.append(str(child))
        elif child is None:
            continue
        elif isinstance(child, str | int | float):
            parts.append(text(shown(child)))
        else:
            parts.append(join(*child))
    return Html("".join(parts))


def shown(value: Any) -> str:
    """A value as a reader likes it: 1,234,567; 0.1235; yes."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    return str(value)


def percent(share: float | None) -> str:
    """0.1234 -> 12.34 %; what is there is never 0 %."""
    if share is None:
        return ""
    if 0 < share < 0.0001:
        return "<0.01 %"
    return f"{100 * share:.2f} %"


def short_percent(share: float) -> str:
    """0.1234 -> 12.3 %, for an axis."""
    return f"{100 * share:.3g} %"


def table(
    columns: Mapping[str, str] | Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    caption: str | None = None,
    shares: Collection[str] = (),
) -> Html:
    """A table of `columns` (key, or key -> heading); numbers stand on the right.

    Columns of `shares`, and those whose key ends in "share", are shown in percent.
    """
    headings = columns if isinstance(columns, Mapping) else {key: key for key in columns}
    parts_of_1 = {key for key in headings if key in shares or key.endswith("share")}
    listed = list(rows)
    more, listed = len(listed) - TABLE_ROWS, listed[:TABLE_ROWS]
    right = {key for key in headings if _is_numeric(row.get(key) for row in listed)}
    head = [
        tag("th", heading, scope="col", class_=_side(key, right))
        for key, heading in headings.items()
    ]
    body = [
        tag(
            "tr",
            [
                tag("td", _cell(row.get(key), key in parts_of_1), class_=_side(key, right))
                for key in headings
            ],
        )
        for row in listed
    ]
    parts = [tag("thead", tag("tr", head)), tag("tbody", body)]
    if caption:
        parts.insert(0, tag("caption", caption))
    left = note(f"and {more:,} more rows") if more > 0 else None
    return tag("div", tag("table", parts), left, class_="scroll", tabindex="0")


def _is_numeric(values: Iterable[Any]) -> bool:
    there = [value for value in values if value is not None]
    return bool(there) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in there
    )


def _side(key: str, right: set[str]) -> str | None:
    return "number" if key in right else None


def _cell(value: Any, share: bool) -> Child:
    if isinstance(value, Html):
        return value
    return percent(value) if share and isinstance(value, float | int) else shown(value)


def note(words: str) -> Html:
    """A remark; `code` in it is set as such."""
    parts = [tag("code", part) if n % 2 else part for n, part in enumerate(words.split("`"))]
    return tag("p", parts, class_="note")


def facts(pairs: Mapping[str, Any]) -> Html:
    """Labelled values, side by side."""
    entries = [
        tag("div", tag("dt", key), tag("dd", value if isinstance(value, Html) else shown(value)))
        for key, value in pairs.items()
        if value is not None
    ]
    return tag("dl", entries, class_="facts")


def section(title: str, *children: Child | Iterable[Child]) -> Html:
    """A part of a page with its heading; the heading is also its address."""
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return tag("section", tag("h2", title), *children, id=name)


def beside(picture: Html, *others: Child) -> Html:
    """A picture and its table next to each other; below each other on a narrow screen."""
    return tag("div", picture, tag("div", *others), class_="beside")


def details(summary: str, *children: Child) -> Html:
    """What opens on a click."""
    return tag("details", tag("summary", summary), *children)


def preformatted(value: str) -> Html:
    """Text with its line breaks, in whatever direction it is written."""
    return tag("pre", value, dir="auto", tabindex="0")


def page(title: str, subtitle: str, sections: Sequence[Html]) -> str:
    """The whole document: one file, no scripts, nothing fetched."""
    headings = re.compile(r'<section id="([^"]*)"><h2>(.*?)</h2>')
    links = [
        tag("a", Html(found[2]), href=f"#{found[1]}")
        for part in sections
        if (found := headings.match(part))
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(_STYLE.read_text(encoding="utf-8"))),
    )
    header = tag(
        "header", tag("h1", title), tag("p", subtitle), tag("nav", links, aria_label="Parts")
    )
    body = tag("body", header, tag("main", sections))
    return "<!doctype html>\n" + tag("html", head, body, lang="en") + "\n"
