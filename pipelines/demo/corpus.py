"""The demo's own texts: sixty short articles, sentence grammars, benchmark, site labels, hosts.

In: the CC0 files beside this module. Out: small frozen records, loaded once.
Shown by: `python -m pipelines.demo.corpus`. Limit: sentences are split at `. ! ?` and a
space, so only languages that write both can lose single sentences.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
_FRONT = re.compile(r"^---\n(.*?)\n---\n", re.S | re.M)
_SLOT = re.compile(r"\[([^\]]+)\]")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Article:
    """One article; `shelf` is the second half of its file's name (`en-nature.md`), or empty."""

    title: str
    language: str
    domain: str
    shelf: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Host:
    """One made-up host. Role: site, mirror (reprints), spam, foreign (a language not kept)."""

    name: str
    language: str
    template: str
    charset: str
    role: str
    shelf: str


@dataclass(frozen=True, slots=True)
class Item:
    """One question of the demo's benchmark."""

    id: str
    question: str
    answer: str


@cache
def articles() -> tuple[Article, ...]:
    """Every article, in the order of the files' names."""
    found = []
    for path in sorted((HERE / "articles").glob("*.md")):
        parts = _FRONT.split(path.read_text(encoding="utf-8"))[1:]
        for front, body in zip(parts[::2], parts[1::2], strict=True):
            meta = yaml.safe_load(front)
            paragraphs = tuple(p.strip() for p in body.split("\n\n") if p.strip())
            shelf = path.stem.partition("-")[2]
            found.append(
                Article(meta["title"], str(meta["language"]), meta["domain"], shelf, paragraphs)
            )
    return tuple(found)


@cache
def shelf(language: str, name: str = "") -> tuple[Article, ...]:
    """Articles of a language, of one shelf if a name is given."""
    return tuple(a for a in articles() if a.language == language and name in ("", a.shelf))


@cache
def hosts(role: str, language: str = "") -> tuple[Host, ...]:
    """Hosts of a role, and of a language if one is given."""
    every = [Host(*row) for row in _yaml("sites.yaml")["hosts"]]
    return tuple(h for h in every if h.role == role and language in ("", h.language))


@cache
def labels(language: str) -> Mapping[str, Any]:
    """What sites of a language say around their text: menus, banners, footers."""
    found: Mapping[str, Any] = _yaml("sites.yaml")["labels"][language]
    return found


@cache
def benchmark() -> tuple[Item, ...]:
    """The benchmark's items; the last four are too short for any n-gram recipe, on purpose."""
    lines = (HERE / "benchmark.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(Item(**json.loads(line)) for line in lines)


def sentences(paragraph: str) -> list[str]:
    """A paragraph's sentences."""
    return _SENTENCE.split(paragraph)


def topics(language: str) -> dict[str, dict[str, list[str]]]:
    """The grammar's topics of a language: titles and sentences with slots."""
    found: dict[str, dict[str, list[str]]] = _yaml("grammars.yaml")[language]["topics"]
    return found


def fill(template: str, language: str, rng: random.Random) -> str:
    """`[towns]` becomes a town, `[3-40]` a whole number, `[1.5-9]` one with a decimal."""
    lists = _yaml("grammars.yaml")[language]
    used: set[str] = set()

    def draw(match: re.Match[str]) -> str:
        slot = match[1]
        if slot in lists:
            word = rng.choice([w for w in lists[slot] if w not in used])
            used.add(word)
            return str(word)
        low, _, high = slot.partition("-")
        if "." in slot:
            return f"{rng.uniform(float(low), float(high)):.1f}"
        return str(rng.randint(int(low), int(high)))

    text = _SLOT.sub(draw, template)
    return text[0].upper() + text[1:]


@cache
def _yaml(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((HERE / name).read_text(encoding="utf-8"))
    return loaded


if __name__ == "__main__":
    per_language = Counter(a.language for a in articles())
    print(f"{len(articles())} articles:", ", ".join(f"{k} {n}" for k, n in per_language.items()))
