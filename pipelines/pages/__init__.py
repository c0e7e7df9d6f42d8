"""Pages: one static HTML file a dataset, with its pictures; nothing in it is fetched from anywhere.

In: a dataset. Out: the page as text, the same bytes for the same store.
Shown by: `gristmill page web/final --out final.html`.
Limit: a page is of one version; to compare two there is `gristmill diff`.

One file a kind of page: `sections(dataset, rows)` gives its parts, with so many sample rows.
"""

from __future__ import annotations

from importlib import import_module

from gristmill.store import Dataset
from pipelines.pages.common import build_of, subtitle
from pipelines.pages.html import page

# Which page: by the outputs of the step that made a dataset, else by the kind of its rows.
BY_OUTPUT = {".plan": "mixture", ".predictions": "fit", ".completions": "generated"}
BY_KIND = {"document": "documents", "tokens": "tokens"}
OTHERWISE = "rows"
SAMPLES = 5


def page_of(dataset: Dataset, rows: int = SAMPLES) -> str:
    """The page of a dataset, as a whole HTML document; `rows`: how many of them it quotes."""
    module = import_module(f"pipelines.pages.{page_kind(dataset)}")
    parts = [part for part in module.sections(dataset, rows) if part]
    return page(dataset.ref, subtitle(dataset), parts)


def page_kind(dataset: Dataset) -> str:
    """The page's name; side outputs of a step have the plain one of their kind."""
    build = build_of(dataset)
    if build.get("name") == dataset.name:
        for suffix, name in BY_OUTPUT.items():
            if dataset.name + suffix in build.get("outputs", {}):
                return name
    return BY_KIND.get(dataset.manifest["kind"], OTHERWISE)
