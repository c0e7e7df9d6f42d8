"""A page as a browser would read it: elements, attributes, texts and tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "col"}


@dataclass
class Element:
    """An element with what is in it."""

    name: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    def all(self, name: str) -> list[Element]:
        """Every element of a name below this one, in order."""
        found = []
        for child in self.children:
            if isinstance(child, Element):
                found += [child, *child.all(name)] if child.name == name else child.all(name)
        return found

    def everything(self) -> list[Element]:
        below = [c for c in self.children if isinstance(c, Element)]
        return [self, *(e for child in below for e in child.everything())]

    def section(self, name: str) -> Element:
        """The part of a page with this address."""
        (found,) = [s for s in self.all("section") if s.attributes.get("id") == name]
        return found

    def table(self, number: int = 0) -> list[dict[str, str]]:
        """A table's rows by heading."""
        table = self.all("table")[number]
        names = [cell.text for cell in table.all("th")]
        rows = [[cell.text for cell in row.all("td")] for row in table.all("tr")[1:]]
        return [dict(zip(names, row, strict=True)) for row in rows]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {key: value or "" for key, value in attrs})
        assert len(element.attributes) == len(attrs)
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open.pop().name == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read(page: str) -> Element:
    """The page's elements; every one that is opened is closed."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == [reader.root]
    return reader.root
