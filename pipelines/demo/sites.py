"""Wraps a page in its host's site: menus, sidebars, scripts, cookie banners, comments, footers.

In: a `Page`, a `Host`, an address. Out: HTML as text, and as bytes in the host's charset.
Shown by: `python -m pipelines.demo.sites`. Limit: eight templates; a real crawl has thousands.
"""

from __future__ import annotations

import json
import random
import re
from datetime import date, timedelta
from functools import cache
from html import escape
from string import Template

from pipelines.demo.compose import Page, essay
from pipelines.demo.corpus import HERE, Host, fill, hosts, labels, shelf, topics

AUTHORS = ("Ellen Park", "J. Brandt", "M. Silva", "admin", "the editors", "Robin K.", "T. Moreau")


@cache
def _template(name: str) -> Template:
    return Template((HERE / "sites" / f"{name}.html").read_text(encoding="utf-8"))


def site_title(host: Host) -> str:
    """`slow-compost.example` -> `Slow Compost`."""
    return host.name.removesuffix(".example").replace("-", " ").title()


def address(host: Host, page: Page, number: int, rng: random.Random) -> str:
    """An address as the host's software would make it; `number` makes it unique."""
    slug = re.sub(r"[^a-z0-9]+", "-", page.title.lower()).strip("-")[:60] or "page"
    path = {
        "forum": f"viewtopic?t={number}",
        "wiki": f"wiki/{slug.replace('-', '_')}_{number}",
        "plain": f"~{host.language}/{slug[:12]}{number}.htm",
        "letter": f"issues/{number}/{slug}",
        "council": f"index.cfm/{slug}?id={number}",
    }.get(host.template, f"{rng.randint(2016, 2025)}/{rng.randint(1, 12):02d}/{slug}-{number}")
    return f"{rng.choice(['https', 'https', 'http'])}://{host.name}/{path}"


def render(page: Page, host: Host, url: str, rng: random.Random) -> str:
    """The page as HTML in its host's template."""
    words = labels(page.language)
    nav = rng.sample(words["nav"], min(len(words["nav"]), rng.randint(5, 9)))
    related = [escape(_headline(rng, page.language)) for _ in range(rng.randint(3, 6))]
    replies = rng.sample(words["replies"], rng.randint(0, min(3, len(words["replies"]))))
    day = date(2016, 1, 1) + timedelta(days=rng.randrange(3650))
    post = '<div class="post reply"><div class="postbody"><div class="content">%s</div></div></div>'
    return _template(host.template).substitute(
        lang=page.language,
        charset=host.charset,
        host=host.name,
        url=escape(url),
        site=escape(site_title(host)),
        title=escape(page.title),
        title_js=json.dumps(page.title)[1:-1],
        date=day.isoformat(),
        author=escape(rng.choice(AUTHORS)),
        tag=escape(_headline(rng, page.language).split()[0].strip(",:")),
        nav_items="".join(f'<li><a href="/{i}">{escape(n)}</a></li>' for i, n in enumerate(nav)),
        nav_links=" | ".join(f'<a href="/{i}">{escape(n)}</a>' for i, n in enumerate(nav)),
        related_word=escape(words["related"]),
        related_items="".join(f'<li><a href="/r/{i}">{t}</a></li>' for i, t in enumerate(related)),
        comments_word=escape(words["comments"]),
        comments="".join(f'<li class="comment"><p>{escape(r)}</p></li>' for r in replies),
        posts="\n".join(post % escape(reply) for reply in replies),
        footer=escape(words["footer"].replace("$site", site_title(host))),
        cookie=escape(words["cookie"]),
        accept_word=escape(words["accept"]),
        body=_body(page, rng),
        body_old=_body(page, rng).replace("</p>", "").replace("<p>", "<P>"),
    )


def encode(html: str, charset: str) -> bytes:
    """Bytes in the host's charset; what it cannot write becomes a character reference."""
    return html.encode(charset, "xmlcharrefreplace")


def _headline(rng: random.Random, language: str) -> str:
    """A title that another page of the language might have."""
    if language in ("en", "de", "fr", "es") and rng.random() < 0.6:
        topic = topics(language)[rng.choice(sorted(topics(language)))]
        return fill(rng.choice(topic["titles"]), language, rng)
    return rng.choice(shelf(language)).title


def _body(page: Page, rng: random.Random) -> str:
    parts = []
    for tag, text in page.blocks:
        if tag == "ul":
            items = "\n".join(f"<li>{escape(line)}</li>" for line in text.split("\n"))
            parts.append(f"<ul>\n{items}\n</ul>")
        else:
            parts.append(
                f"<{tag}>{_inline(escape(text), rng) if tag == 'p' else escape(text)}</{tag}>"
            )
    return "\n".join(parts)


def _inline(text: str, rng: random.Random) -> str:
    """Now and then a link or an emphasis around one word, which extraction must see through."""
    words = text.split(" ")
    if len(words) > 12 and rng.random() < 0.4:
        at = rng.randrange(len(words))
        mark = rng.choice(['<a href="/see/also">%s</a>', "<em>%s</em>", "<b>%s</b>"])
        words[at] = mark.replace("%s", words[at])
    return " ".join(words)


if __name__ == "__main__":
    seeded = random.Random(1)
    shown = hosts("site")[0]
    print(render(essay(seeded, "en"), shown, f"https://{shown.name}/", seeded))
