"""Pages that nobody planted: articles recombined by seed, with sentences from the grammars.

In: a seeded `random.Random` and a language or a shelf. Out: a `Page` (title and blocks of text).
Shown by: `python -m pipelines.demo.compose`. Limit: a recombined page reads like a digest,
not like one author's train of thought; enough for filters and dedup, not for training a model.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from pipelines.demo.corpus import fill, sentences, shelf, topics

KEPT = {"en": 0.52, "de": 0.18, "fr": 0.15, "es": 0.15}  # languages of the recipe and their shares
STYLES = {"essay": 0.42, "bulletin": 0.34, "mixed": 0.12, "thin": 0.12}


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says. A block is (tag, text): p, h2, or ul with one item a line."""

    title: str
    language: str
    blocks: tuple[tuple[str, str], ...]

    def text(self) -> str:
        """The page's own text, one block a line group."""
        return "\n\n".join(text for _, text in self.blocks)

    def with_block(self, at: int, text: str) -> Page:
        """The page with one more paragraph before block `at`."""
        return replace(self, blocks=(*self.blocks[:at], ("p", text), *self.blocks[at:]))


def weighted(rng: random.Random, shares: dict[str, float]) -> str:
    """One key, drawn by its share."""
    return rng.choices(list(shares), list(shares.values()))[0]


def unplanted(rng: random.Random, language: str, shelf_name: str = "") -> tuple[str, Page]:
    """An ordinary page and its style. `thin` ones (lists, short notes) may fail on merit."""
    style = weighted(rng, STYLES)
    make = {"essay": essay, "bulletin": bulletin, "mixed": mixed, "thin": thin}[style]
    return style, make(rng, language, shelf_name)


def essay(rng: random.Random, language: str, shelf_name: str = "") -> Page:
    """Three to seven paragraphs of different articles, some without a sentence or two."""
    pool = [(a, p) for a in shelf(language, shelf_name) for p in a.paragraphs]
    chosen = rng.sample(pool, rng.randint(3, 7))
    blocks: list[tuple[str, str]] = []
    for number, (article, paragraph) in enumerate(chosen):
        if number and rng.random() < 0.15:
            blocks.append(("h2", article.title))
        blocks.append(("p", _thinned(rng, paragraph)))
    if language in KEPT and rng.random() < 0.5:
        blocks.insert(rng.randint(1, len(blocks)), ("p", _report(rng, language, 4)[1][0]))
    return Page(chosen[0][0].title, language, tuple(blocks))


def bulletin(rng: random.Random, language: str, shelf_name: str = "") -> Page:
    """A report of market, match, council or walk, made of grammar sentences."""
    title, paragraphs = _report(rng, language, rng.randint(9, 15))
    return Page(title, language, tuple(("p", p) for p in paragraphs))


def mixed(rng: random.Random, language: str, shelf_name: str = "") -> Page:
    """A report with two or three paragraphs of articles in between."""
    title, paragraphs = _report(rng, language, rng.randint(5, 9))
    body = essay(rng, language, shelf_name).blocks
    blocks = [("p", p) for p in paragraphs]
    for block in body[: rng.randint(2, 3)]:
        blocks.insert(rng.randint(0, len(blocks)), block)
    return Page(title, language, tuple(blocks))


def thin(rng: random.Random, language: str, shelf_name: str = "") -> Page:
    """A calendar, a short note, or a note with a list: real pages that say little."""
    title, paragraphs = _report(rng, language, rng.randint(1, 3))
    kind = rng.choice(["calendar", "note", "note with list"])
    names = [_report(rng, language, 1)[0] for _ in range(rng.randint(8, 20))]
    dates = sorted((rng.randint(1, 28), rng.randint(1, 12)) for _ in names)
    items = "\n".join(f"{d:02d}.{m:02d}. {n}" for (d, m), n in zip(dates, names, strict=True))
    if kind == "calendar":
        return Page(title, language, (("ul", items),))
    blocks = tuple(("p", p) for p in paragraphs)
    return Page(title, language, blocks if kind == "note" else (*blocks, ("ul", items)))


def foreign(rng: random.Random, language: str) -> Page:
    """A page in a language that the recipe does not keep: one article, cut and reordered."""
    article = rng.choice(shelf(language))
    chosen = rng.sample(article.paragraphs, rng.randint(3, len(article.paragraphs)))
    return Page(article.title, language, tuple(("p", p) for p in chosen))


def _thinned(rng: random.Random, paragraph: str) -> str:
    kept = [s for s in sentences(paragraph) if rng.random() > 0.12]
    return " ".join(kept) if len(kept) > 1 else paragraph


def _report(rng: random.Random, language: str, count: int) -> tuple[str, list[str]]:
    """A title and paragraphs of three to six filled sentences, no template used twice."""
    names = rng.sample(sorted(topics(language)), 2)
    first, second = (topics(language)[name] for name in names)
    title = fill(rng.choice(first["titles"]), language, rng)
    pool = rng.sample(first["sentences"], len(first["sentences"]))
    pool += rng.sample(second["sentences"], len(second["sentences"]))
    lines = [fill(template, language, rng) for template in pool[:count]]
    paragraphs = []
    while lines:
        size = rng.randint(3, 6)
        paragraphs.append(" ".join(lines[:size]))
        lines = lines[size:]
    return title, paragraphs


if __name__ == "__main__":
    drawn = random.Random(0)
    for tongue in KEPT:
        page_style, page = unplanted(drawn, tongue)
        print(f"# {page.title} ({tongue}, {page_style})\n\n{page.text()}\n")
