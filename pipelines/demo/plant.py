"""What is hidden in the crawl: copies, spam, walls, benchmark questions, addresses of people.

In: a seeded `random.Random`, and a page where something is hidden in one. Out: a page and what to
look for in it. Shown by: `python -m pipelines.demo.generate demo/web` (kinds and counts).
Limit: the spam of fifteen years ago; machine-written spam that passes every rule is not here.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipelines.demo.compose import Page, essay
from pipelines.demo.corpus import Item, benchmark, fill, labels, sentences, shelf, topics

Planted = tuple[Page, dict[str, Any]]
MIN_WORDS = 13  # shorter questions have no 13-gram: nothing could find them
LOREM = (
    "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut "
    "labore et dolore magna aliqua enim ad minim veniam quis nostrud exercitation ullamco laboris"
).split()
WARES = (
    "roof tiles",
    "garden sheds",
    "phone covers",
    "office chairs",
    "car insurance",
    "running shoes",
)
_WORD = re.compile(r"\w+")


def near_duplicate(rng: random.Random, page: Page) -> Planted:
    """The page after a reprint: some words changed, a sentence cut or a note added.

    Edits are few enough to leave most 5-word shingles alone; the Jaccard similarity is told.
    """
    size = len(_WORD.findall(page.text()))
    edits = rng.randint(1, max(1, size // 110))
    blocks = list(page.blocks)
    for _ in range(edits):
        at = rng.choice([i for i, (tag, _) in enumerate(blocks) if tag == "p"])
        blocks[at] = ("p", _edit_word(rng, blocks[at][1]))
    page_now = replace(page, blocks=tuple(blocks))
    if rng.random() < 0.4:
        note = rng.choice(labels(page.language)["replies"])
        page_now = page_now.with_block(len(blocks), note)
    similarity = jaccard(page.text(), page_now.text())
    return page_now, {"edits": edits, "jaccard": round(similarity, 3)}


def jaccard(one: str, other: str, n: int = 5) -> float:
    """Similarity of two texts' sets of n-word shingles."""
    a, b = (
        {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))}
        for words in (_WORD.findall(one.lower()), _WORD.findall(other.lower()))
    )
    return len(a & b) / len(a | b)


def boilerplate(rng: random.Random, language: str) -> Planted:
    """A page without content: menu only, cookie wall, login, soft 404."""
    words = labels(language)
    form = rng.choice(["menu", "wall", "login", "missing"])
    headlines = [fill(rng.choice(t["titles"]), language, rng) for t in topics(language).values()]
    blocks: tuple[tuple[str, str], ...] = {
        "menu": (("ul", "\n".join(words["nav"])), ("ul", "\n".join(headlines * rng.randint(1, 3)))),
        "wall": (("p", words["cookie"]), ("p", words["wall"])),
        "login": (("ul", "\n".join(words["login"])),),
        "missing": (("p", words["missing"]), ("ul", "\n".join(words["nav"][:4]))),
    }[form]
    title = {"menu": words["nav"][0], "login": words["login"][0]}.get(form, words["nav"][3])
    return Page(title, language, blocks), {"form": form}


def spam(rng: random.Random, _language: str = "en") -> Planted:
    """One of six kinds of rubbish that rule sets were written against."""
    forms: dict[str, Callable[[random.Random], list[tuple[str, str]]]] = {
        "keywords": _keywords,
        "repetition": _repetition,
        "lorem": _lorem,
        "links": _links,
        "symbols": _symbols,
        "teasers": _teasers,
    }
    form = rng.choice(list(forms))
    title = f"{rng.choice(WARES).title()} {rng.randint(2, 99)} best price"
    return Page(title, "en", tuple(forms[form](rng))), {"form": form}


def contaminated(rng: random.Random, number: int) -> Planted:
    """An English page that quotes a question as it is, in other case, or other punctuation."""
    items = [item for item in benchmark() if len(item.question.split()) >= MIN_WORDS]
    item = items[number % len(items)]
    form = ("verbatim", "case", "punctuation")[number % 3]
    quoted = _quote(rng, item, form)
    page = essay(rng, "en")
    return page.with_block(rng.randint(1, len(page.blocks)), quoted), {
        "item": item.id,
        "form": form,
    }


def personal(rng: random.Random, language: str) -> Planted:
    """A page with made-up e-mail addresses, public IP addresses and telephone numbers.

    Telephone numbers are of ranges kept for fiction and mail goes to `.example`. 7.0.0.0/8 counts
    as public though it is not announced; documentation ranges would not do: they are not public.
    """
    name = unicodedata.normalize("NFKD", fill("[first].[names]", language, rng).lower())
    who = name.encode("ascii", "ignore").decode()
    values = {
        "email": f"{who}@{rng.choice(['post', 'mail', 'office'])}-{rng.randint(10, 99)}.example",
        "ip": f"7.{rng.randint(1, 250)}.{rng.randint(1, 250)}.{rng.randint(1, 250)}",
        "phone": rng.choice(
            [f"+1 202 555 01{rng.randint(10, 99)}", f"+44 20 7946 0{rng.randint(100, 999)}"]
        ),
    }
    page = essay(rng, language)
    used = rng.sample(sorted(values), rng.randint(1, 3))
    for kind in used:
        page = page.with_block(
            rng.randint(1, len(page.blocks)), labels(language)[f"contact_{kind}"] % values[kind]
        )
    return page, {"values": {kind: values[kind] for kind in used}}


def _edit_word(rng: random.Random, text: str) -> str:
    words = text.split(" ")
    at = rng.randrange(len(words))
    if rng.random() < 0.5 and len(words) > 5:
        del words[at]
    else:
        words[at] = rng.choice(words)
    return " ".join(words)


def _quote(rng: random.Random, item: Item, form: str) -> str:
    text = item.question
    if form == "case":
        text = text.upper() if rng.random() < 0.5 else text.lower()
    elif form == "punctuation":
        text = text.replace(",", " –").replace("?", " ...?").replace(". ", "; ")
    lead = rng.choice(
        ["A puzzle for the weekend.", "From the exercise book:", "Somebody asked this."]
    )
    after = rng.choice(sentences(rng.choice(rng.choice(shelf("en")).paragraphs)))
    return f"{lead} {text} {after}"


def _keywords(rng: random.Random) -> list[tuple[str, str]]:
    ware = rng.choice(WARES)
    stock = [
        ware,
        f"cheap {ware}",
        f"buy {ware} online",
        f"best {ware}",
        "discount",
        "sale",
        "free shipping",
    ]
    return [
        ("p", ", ".join(rng.choices(stock, k=rng.randint(40, 90))))
        for _ in range(rng.randint(2, 4))
    ]


def _repetition(rng: random.Random) -> list[tuple[str, str]]:
    ware = rng.choice(WARES)
    line = (
        "We are the number one company for %s in [towns] and our %s are the best that you can have."
    )
    count = rng.randint(12, 30)
    return [("p", " ".join(fill(line % (ware, ware), "en", rng) for _ in range(count)))]


def _lorem(rng: random.Random) -> list[tuple[str, str]]:
    def line() -> str:
        return " ".join(rng.choices(LOREM, k=rng.randint(8, 16))).capitalize() + "."

    start = "Lorem ipsum dolor sit amet, consectetur adipiscing elit. "
    return [("p", start + " ".join(line() for _ in range(rng.randint(4, 8)))) for _ in range(3)]


def _links(rng: random.Random) -> list[tuple[str, str]]:
    lines = [
        fill(f"• {rng.choice(WARES).title()} in [towns] from [9-99]", "en", rng) for _ in range(60)
    ]
    return [("ul", "\n".join(lines))]


def _symbols(rng: random.Random) -> list[tuple[str, str]]:
    marks = [
        "###",
        "***",
        ">>>",
        "$$$",
        "100%",
        "!!!",
        "~~~",
        "===",
        "#1",
        "@@@",
        "www",
        "top",
        "win",
    ]
    return [("p", " ".join(rng.choices(marks, k=rng.randint(60, 120)))) for _ in range(3)]


def _teasers(rng: random.Random) -> list[tuple[str, str]]:
    line = "You will not believe what [first] [names] of [towns] found in the [goods]..."
    return [("p", fill(line, "en", rng)) for _ in range(rng.randint(15, 30))]
